// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/switchtest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// TestCore runs the tests that package vde has to pass on stock vde_switch on
// this switch: in this process, where its port list can be read, and in a
// process of its own, which can be killed, stopped and run by another user.
func TestCore(t *testing.T) {
	// What is flooded never waits here, whatever the policy, so the suite must
	// not count on every frame of a flood. Forever leaves no other reason for a
	// loss, however slow the machine.
	for i, tt := range []struct {
		name  string
		start switchtest.Start
		opts  switchtest.Options
	}{
		{"switch_in_process", startHere, switchtest.Options{Lossy: true, Concurrent: true, FixedUser: true}},
		{"switch", startChild, switchtest.Options{Lossy: true, Concurrent: true}},
		{"switch_over_sockets", startChild, switchtest.Options{Lossy: true, Concurrent: true, Sockets: true}},
		{"hub", startChild, switchtest.Options{Lossy: true, Concurrent: true, Hub: true, GroupSources: true, Sockets: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if i > 0 && testing.Short() {
				t.Skip("the other forms of the switch take 40 s each")
			}
			switchtest.Run(t, tt.start, tt.opts)
		})
	}
}

// coreConfig is the switch that the suite asks for.
func coreConfig(cfg switchtest.Config) vswitch.Config {
	return vswitch.Config{
		NumPorts: cfg.Ports, Hub: cfg.Hub, Mode: cfg.Mode, DirMode: cfg.DirMode,
		DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever},
	}
}

// A hereHandle is a switch in this process.
type hereHandle struct {
	sw   *vswitch.Switch
	dir  string
	stop func()
	news *news
}

var _ switchtest.PortLister = (*hereHandle)(nil)

func startHere(t testing.TB, cfg switchtest.Config) switchtest.Switch {
	h := &hereHandle{dir: cfg.Dir, news: newNews()}
	if h.dir == "" {
		h.dir = filepath.Join(testutil.ShortDir(t), "s")
	}
	config := coreConfig(cfg)
	config.Logger = slog.New(h.news)
	h.sw = vswitch.New(config)
	l, err := h.sw.Listen(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve(context.Background()) }()
	h.stop = sync.OnceFunc(func() {
		if err := h.sw.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, vswitch.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

func (h *hereHandle) Dir() string { return h.dir }
func (h *hereHandle) Stop()       { h.stop() }

func (h *hereHandle) Ports() ([]testpeers.SwitchPort, error) {
	var ports []testpeers.SwitchPort
	for _, p := range h.sw.Ports() {
		port := testpeers.SwitchPort{Number: p.Number, Active: p.Active(), VLAN: int(p.Config.VLAN), Allocatable: true}
		for _, c := range slices.Backward(p.Endpoints) {
			port.Endpoints = append(port.Endpoints, testpeers.SwitchEndpoint{ID: int(c.ID), Module: string(c.Kind), Description: c.Description})
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func (h *hereHandle) WaitPorts(ctx context.Context, cond func([]testpeers.SwitchPort) bool) ([]testpeers.SwitchPort, error) {
	for {
		changed := h.news.next()
		ports, err := h.Ports()
		if err != nil || cond(ports) {
			return ports, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ports, context.Cause(ctx)
		}
	}
}

// A news is a slog.Handler that tells that something was logged.
type news struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each record; mu held
}

func newNews() *news { return &news{changed: make(chan struct{})} }

func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

func (n *news) Handle(context.Context, slog.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
	return nil
}

func (n *news) Enabled(context.Context, slog.Level) bool { return true }
func (n *news) WithAttrs([]slog.Attr) slog.Handler       { return n }
func (n *news) WithGroup(string) slog.Handler            { return n }

// childEnv tells this test binary to be a switch; its value is a childConfig.
const childEnv = "GO_VDE_VSWITCH_CHILD"

type childConfig struct {
	Dir    string
	Config switchtest.Config
}

func startChild(t testing.TB, cfg switchtest.Config) switchtest.Switch {
	dir := cfg.Dir
	if dir == "" {
		base := testutil.ShortDir(t)
		if cfg.User != nil {
			if err := os.Chown(base, int(cfg.User.UID), int(cfg.User.GID)); err != nil {
				t.Fatal(err)
			}
		}
		dir = filepath.Join(base, "s")
	}
	user := cfg.User
	cfg.User = nil
	b, err := json.Marshal(childConfig{dir, cfg})
	if err != nil {
		t.Fatal(err)
	}
	program := testpeers.TestBinary(t)
	if user != nil {
		program = testpeers.TestBinaryForAnyUser(t)
	}
	return testpeers.StartServer(t, dir, testpeers.ProcessConfig{
		Args: []string{program}, User: user,
		// With the race detector a program waits a second at its end otherwise.
		Env: []string{childEnv + "=" + string(b), "GORACE=atexit_sleep_ms=0"},
	})
}

// beSwitch is the child's life.
func beSwitch(config string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin) // ends with the test
		cancel()
	}()
	sw := vswitch.New(coreConfig(c.Config))
	l, err := sw.Listen(c.Dir)
	if err != nil {
		return err
	}
	fmt.Println(testpeers.ReadyLine)
	if err := l.Serve(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return sw.Close()
}
