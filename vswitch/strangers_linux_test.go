// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/switchtest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vswitch"
)

// ask connects to the switch in dir as w and sends a request for any port that names
// a data socket of its own; the end of the test closes both.
func (w who) ask(t *testing.T, dir, own string) (ctl net.Conn) {
	t.Helper()
	var data int
	if err := w.do(func() (err error) {
		if data, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		name := fmt.Sprintf("%s/%d.%d", own, w.uid, data)
		if err := unix.Bind(data, &unix.SockaddrUnix{Name: name}); err != nil {
			return err
		}
		if ctl, err = net.Dial("unix", filepath.Join(dir, "ctl")); err != nil {
			return err
		}
		if _, err = ctl.Write(v3(0, 0)(name)); errors.Is(err, unix.EPIPE) {
			err = nil // closed already, because there are too many
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(data); ctl.Close() })
	return ctl
}

// Clients whose admission takes long have no more than half of the places, and delay
// no other user: neither one who joins nor one who is refused.
func TestSlowAdmission(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	const places = 16
	var deciding, most atomic.Int64
	decide := make(chan struct{})
	decideOnce := sync.OnceFunc(func() { close(decide) })
	sw, dir := start(t, vswitch.Config{Mode: 0o666, MaxPending: places, Admit: func(p vswitch.Peer) (int, error) {
		if p.UID == uint32(third.uid) {
			n := deciding.Add(1)
			defer deciding.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-decide
		}
		return p.Port, nil
	}})
	defer decideOnce()
	own := writable(t)
	var slow []net.Conn
	for range 3 * places {
		slow = append(slow, third.ask(t, dir, own))
	}
	until(t, "half of the places are taken", func() bool { return deciding.Load() == places/2 })
	peer, leave, err := member.join(dir, own)
	if err != nil || peer == "" {
		t.Errorf("another user is kept waiting, or out: %q, %v", peer, err)
	}
	leave()
	if n, err := plugWithout(t, dir).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a refusal is not told: %d, %v", n, err)
	}
	decideOnce()
	replies := 0
	for _, c := range slow {
		c.SetReadDeadline(time.Now().Add(long))
		n, err := c.Read(make([]byte, 200))
		if n > 0 {
			replies++
		} else if os.IsTimeout(err) {
			t.Error("a client was forgotten")
		}
	}
	if m := most.Load(); m != places/2 || replies < places/2 {
		t.Errorf("%d requests of one user were answered at a time with %d places, %d got a reply", m, places, replies)
	}
	if s := sw.Stats().Serve; s.Evicted == 0 {
		t.Errorf("none was turned away: %+v", s)
	}
}

// plugWithout sends a request that is refused, because the data socket that it names
// does not exist.
func plugWithout(t *testing.T, dir string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write(v3(0, 0)(filepath.Join(dir, ".missing"))); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(long))
	return c
}

// A connection without a request costs the switch a descriptor and a few hundred
// bytes, and no goroutine.
func TestSilentConnectionsCost(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	plugWithout(t, dir).Read(make([]byte, 1)) // whatever is made once
	memory := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	goroutines, before := runtime.NumGoroutine(), memory()
	const n = 1000
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for range n {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: dir + "/ctl"}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all are accepted", func() bool { return sw.Stats().Serve.Accepted >= n+1 })
	after := memory()
	each := (int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)) / n
	t.Logf("%d bytes for each", each)
	if k := runtime.NumGoroutine() - goroutines; k > 10 || each > 2048 {
		t.Errorf("%d goroutines and %d bytes each for %d silent connections", k, each, n)
	}
}

// Strangers that hold all descriptors by connecting lose them to a client.
func TestStrangersAtTheDescriptorLimit(t *testing.T) {
	h := startChild(t, switchtest.Config{})
	for range 50 {
		c, err := net.Dial("unix", filepath.Join(h.Dir(), "ctl"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	pid := h.(*testpeers.Server).PID()
	across(t, open(t, h.Dir()), open(t, h.Dir())) // and all are accepted by then
	restore := limitDescriptors(t, pid, 0)
	defer restore()
	for range 20 {
		if n, err := plugWithout(t, h.Dir()).Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("not answered: %d, %v", n, err)
		}
	}
}

// Users who connect and go, and those who send their request byte by byte, delay
// nobody and leave nothing.
func TestRestlessConnections(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID")
	sw, dir := start(t, vswitch.Config{Mode: 0o666, MaxPending: 64})
	stop := make(chan struct{})
	var restless sync.WaitGroup
	for i := range 2 {
		restless.Go(func() {
			_ = member.do(func() error {
				for {
					select {
					case <-stop:
						return nil
					default:
						connectAndGo(dir, i%2 == 0)
					}
				}
			})
		})
	}
	for range 5 {
		across(t, open(t, dir), open(t, dir))
	}
	close(stop)
	restless.Wait()
	until(t, "all are gone", func() bool {
		s := sw.Stats().Serve
		return s.Accepted == s.Joined+s.Refused+s.Malformed+s.Silent+s.Evicted
	})
	t.Logf("%+v", sw.Stats().Serve)
}

// connectAndGo connects and closes the connection, after some of a request byte by
// byte if dribble is set.
func connectAndGo(dir string, dribble bool) {
	c, err := net.Dial("unix", filepath.Join(dir, "ctl"))
	if err != nil {
		return // its queue is full
	}
	defer c.Close()
	if !dribble {
		return
	}
	for _, b := range v3(0, 0)("/x")[:100] {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
	}
}
