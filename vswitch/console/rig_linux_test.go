// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// hang is how long a test waits for what must happen.
const hang = 30 * time.Second

// A raw is a session that is used as bytes.
type raw struct {
	t    testing.TB
	conn net.Conn
}

func dialRaw(t testing.TB, path string) *raw {
	t.Helper()
	conn, err := net.Dial("unix", path)
	for errors.Is(err, syscall.EAGAIN) { // too many wait to be accepted
		runtime.Gosched()
		conn, err = net.Dial("unix", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &raw{t, conn}
}

const prompt = "\nvde$ "

// answer reads up to the next prompt, or the end.
func (r *raw) answer() string {
	r.t.Helper()
	return r.until([]byte(prompt))
}

// until reads until what has come ends with end, or nothing more comes.
func (r *raw) until(end []byte) string {
	r.t.Helper()
	r.conn.SetReadDeadline(time.Now().Add(hang))
	var got []byte
	for !bytes.HasSuffix(got, end) {
		b := make([]byte, 64<<10)
		n, err := r.conn.Read(b)
		got = append(got, b[:n]...)
		if errors.Is(err, io.EOF) {
			return string(got) + "<EOF>"
		}
		if err != nil {
			r.t.Fatalf("%v after %q", err, got)
		}
	}
	return string(got)
}

// send writes text as it is.
func (r *raw) send(text string) {
	r.t.Helper()
	r.conn.SetWriteDeadline(time.Now().Add(hang))
	if _, err := r.conn.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
}

// run returns the answer to a command, with the prompt.
func (r *raw) run(command string) string {
	r.t.Helper()
	r.send(command + "\n")
	return r.answer()
}

// A rig is a switch with a console.
type rig struct {
	sw     *vswitch.Switch
	server *console.Server
	mgmt   string // the console's socket
	stop   context.CancelFunc
}

// start serves a console for a switch until the end of the test. In its sessions lines end
// with a line feed, however late.
func start(t testing.TB, cfg vswitch.Config, opts console.Options) *rig {
	t.Helper()
	return startWith(t, cfg, opts, func(s *console.Server) { s.SetWait(hang) })
}

// startWith is start with the server as prepare makes it.
func startWith(t testing.TB, cfg vswitch.Config, opts console.Options, prepare func(*console.Server)) *rig {
	t.Helper()
	if opts.Access == nil {
		opts.Access = &console.Access{Next: cfg.Admit}
	}
	cfg.Admit = opts.Access.Admit
	r := &rig{sw: vswitch.New(cfg), mgmt: filepath.Join(testutil.ShortDir(t), "m")}
	t.Cleanup(func() { r.sw.Close() })
	r.server = console.New(r.sw, opts)
	prepare(r.server)
	l, err := console.Listen(r.mgmt, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.server.Serve(ctx, l); !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// toText returns values as one comparable text.
func toText(values ...any) string { return fmt.Sprintf("%+v", values) }
