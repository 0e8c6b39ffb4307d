// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vswitch"
)

// serveCommand makes this program a switch.
const serveCommand = "serve"

// serve serves dir until SIGTERM, or until its parent has ended.
func serve(dir string) error {
	signal.Ignore(os.Interrupt) // which the terminal sends to the parent too, and the parent ends this process
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	l, err := sw.Listen(dir)
	if err != nil {
		return err
	}
	fmt.Println(testpeers.ReadyLine)
	if err := l.Serve(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// programs are the switches that take turns in one directory; one runs.
type programs struct {
	s     *soak
	name  string
	top   string
	dir   string
	both  bool
	stock bool // the one that runs is vde_switch
	drops bool // vde_switch, which does not count what it drops, has run since the last mark
	scope *scope
	run   interface {
		Kill()
		Pause()
		Resume()
	}
}

// newPrograms starts the first one: vde_switch, if both are to take turns.
func newPrograms(s *soak, both bool) (*programs, error) {
	top, err := tempDir()
	if err != nil {
		return nil, err
	}
	p := &programs{s: s, name: "killed vswitch", top: top, dir: filepath.Join(top, "sw"), both: both, stock: both, drops: both}
	if both {
		p.name = "vde_switch and vswitch"
	}
	// Made here, because a helper of testpeers that makes it also removes it at the
	// end of the first program.
	if err = os.Mkdir(p.dir, 0o700); err == nil {
		err = p.begin()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// begin starts the program that is to run.
func (p *programs) begin() error {
	p.scope = p.s.scope()
	return p.scope.try(func() {
		if p.stock {
			p.run = testpeers.StartSwitch(p.scope, testpeers.SwitchConfig{Dir: p.dir})
		} else {
			p.run = testpeers.StartServer(p.scope, p.dir, testpeers.ProcessConfig{Args: []string{"/proc/self/exe", serveCommand, p.dir}})
		}
	})
}

// running returns the name of the program that runs.
func (p *programs) running() string {
	if p.stock {
		return "vde_switch"
	}
	return "vswitch"
}

// kill ends the program with SIGKILL. Its files stay for the next program.
func (p *programs) kill() { p.run.Kill() }

func (p *programs) pause() { p.run.Pause() }

func (p *programs) resume() { p.run.Resume() }

// start starts the next program, chosen at random.
func (p *programs) start(r *rand.Rand) {
	old := p.scope
	if p.both {
		p.stock = r.IntN(2) == 0
		p.drops = p.drops || p.stock
	}
	if err := p.begin(); err != nil {
		p.s.violate("%s: %v", p.name, err)
	}
	old.close()
}

// close ends the program and removes everything.
func (p *programs) close() {
	if p.scope != nil {
		p.scope.close()
	}
	if err := os.RemoveAll(p.top); err != nil {
		p.s.violate("%v", err)
	}
}
