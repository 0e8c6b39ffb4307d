// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A FakeSwitch is a scripted VDE switch in a short temporary directory. It
// has its own encoder and decoder of the VDE handshake, written from the protocol
// description, so that it shares no mistake with package vde.
//
// What happens to a client is decided by a [FakeScript], an ordinary function;
// without one, [FakeServe] serves each client and the test sends and receives with
// [FakeClient.Send] and [FakeClient.Recv]. [FakeHub] returns a
// FakeSwitch that joins its clients, for tests that need a network and no
// installed VDE.
//
// All methods may be called from any goroutine. Everything a FakeSwitch holds
// is released when the test ends.
type FakeSwitch struct {
	dir     string
	scripts []FakeScript
	ctx     context.Context // done when the switch closes
	cancel  context.CancelFunc
	wg      sync.WaitGroup // accept loops and one goroutine per client
	ctl     *net.UnixListener

	mu        sync.Mutex
	closed    bool                // guarded by mu
	listeners []*net.UnixListener // guarded by mu
	own       map[string]bool     // names made by the switch itself; guarded by mu
	clients   []*FakeClient       // every client accepted; guarded by mu
	taken     int                 // how many of clients Next has returned; guarded by mu
	requests  []*FakeRequest      // guarded by mu
	changed   chan struct{}       // closed and replaced when a script returns or requests grow; guarded by mu
	nextPort  int                 // guarded by mu
	nextName  int                 // guarded by mu
	blocked   *fakeBlock          // non-nil between Block and Unblock; guarded by mu
}

// A FakeScript is what a [FakeSwitch] does with one client, from the accepted
// control connection on. It runs in a goroutine of its own and may return at
// any point: both sockets then stay as they are until the client leaves, the
// test calls a method of c, or the test ends. A script that does nothing is
// therefore a switch that accepts and hangs, and one that only calls
// [FakeClient.Close] is a switch that closes every connection at once.
//
// The methods of c that take part in the handshake keep the first error: once
// one has failed the others do nothing and return it again, so that a script
// need not check each step.
type FakeScript func(c *FakeClient)

// NewFakeSwitch starts a switch. The first client gets the first script and so
// on; later clients get the last one. Without scripts all get [FakeServe].
//
//	s := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
//		c.ReadRequest()
//		c.ConnectBack()
//		c.WriteCtl(c.ReplyBytes()[:50]) // half a reply, and then nothing
//	})
//	_, err := vde.Open(ctx, s.VNL())
func NewFakeSwitch(tb testing.TB, scripts ...FakeScript) *FakeSwitch {
	tb.Helper()
	if !fakeSupported {
		tb.Skip("the fake switch needs Linux")
	}
	if len(scripts) == 0 {
		scripts = []FakeScript{FakeServe}
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &FakeSwitch{
		dir:     ShortDir(tb),
		scripts: scripts,
		ctx:     ctx,
		cancel:  cancel,
		own:     make(map[string]bool),
		changed: make(chan struct{}),
	}
	tb.Cleanup(s.Stop)
	ctl, err := s.listen("ctl")
	if err != nil {
		tb.Fatal(err)
	}
	s.ctl = ctl
	return s
}

// Dir returns the control directory.
func (s *FakeSwitch) Dir() string { return s.dir }

// VNL returns the switch's locator, vde:// and the directory.
func (s *FakeSwitch) VNL() string { return "vde://" + s.dir }

// Portgroup adds a listening socket Dir/name beside ctl, whose clients get the
// same scripts and carry the name in [FakeClient.Group].
func (s *FakeSwitch) Portgroup(name string) error {
	_, err := s.listen(name)
	return err
}

func (s *FakeSwitch) listen(name string) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(s.dir, name)})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Close()
		return nil, net.ErrClosed
	}
	s.own[name] = true
	s.listeners = append(s.listeners, l)
	s.wg.Go(func() { s.accept(l, name) })
	return l, nil
}

func (s *FakeSwitch) accept(l *net.UnixListener, name string) {
	for {
		ctl, err := l.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if s.park() {
				continue
			}
			return
		}
		if err != nil {
			return // closed
		}
		if addr := ctl.RemoteAddr(); addr != nil && strings.HasPrefix(addr.String(), fakeFillerPrefix) {
			ctl.Close() // one of Block's own
			continue
		}
		s.start(ctl, name)
	}
}

// start hands a new control connection to its script.
func (s *FakeSwitch) start(ctl *net.UnixConn, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		ctl.Close()
		return
	}
	script := s.scripts[min(len(s.clients), len(s.scripts)-1)]
	c := newFakeClient(s, ctl, len(s.clients))
	if name != "ctl" {
		c.Group = name
	}
	s.clients = append(s.clients, c)
	s.wg.Go(func() {
		// Deferred, so that a script ended by runtime.Goexit (a t.Fatal in the
		// wrong goroutine) does not leave Next waiting.
		defer c.watch()
		defer s.publish(c)
		script(c)
	})
}

func (s *FakeSwitch) publish(c *FakeClient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.scripted = true
	s.notify()
}

// notify wakes everything that waits for a change. s.mu held.
func (s *FakeSwitch) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Next returns each client once, in the order in which they connected, waiting
// until the client is there and its script has returned.
func (s *FakeSwitch) Next(ctx context.Context) (*FakeClient, error) {
	for {
		s.mu.Lock()
		if s.taken < len(s.clients) && s.clients[s.taken].scripted {
			c := s.clients[s.taken]
			s.taken++
			s.mu.Unlock()
			return c, nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a client of the fake switch: %w", context.Cause(ctx))
		case <-s.ctx.Done():
			return nil, net.ErrClosed
		}
	}
}

// Requests returns the requests read so far, in order.
func (s *FakeSwitch) Requests() []*FakeRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// WaitRequests waits until n requests have been read and returns them all.
func (s *FakeSwitch) WaitRequests(ctx context.Context, n int) ([]*FakeRequest, error) {
	for {
		s.mu.Lock()
		requests, changed := slices.Clone(s.requests), s.changed
		s.mu.Unlock()
		if len(requests) >= n {
			return requests, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return requests, fmt.Errorf("waiting for request %d, have %d: %w", n, len(requests), context.Cause(ctx))
		case <-s.ctx.Done():
			return requests, net.ErrClosed
		}
	}
}

// Strays returns the sorted names in Dir that the switch did not make, which
// clients have left there.
func (s *FakeSwitch) Strays() ([]string, error) {
	names, err := fakeEntries(s.dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(names, func(name string) bool { return s.own[name] }), nil
}

func fakeEntries(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// ForeignSocket binds a datagram socket called name in Dir that belongs to no
// client, for replies with a wrong address. It returns the socket, which is closed
// with the switch, and its path.
func (s *FakeSwitch) ForeignSocket(name string) (*net.UnixConn, string, error) {
	path := filepath.Join(s.dir, name)
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		sock.Close()
		return nil, "", net.ErrClosed
	}
	s.own[name] = true
	context.AfterFunc(s.ctx, func() { sock.Close() })
	return sock, path, nil
}

// HangupAll calls [FakeClient.Hangup] on every client.
func (s *FakeSwitch) HangupAll() {
	s.mu.Lock()
	clients := slices.Clone(s.clients)
	s.mu.Unlock()
	for _, c := range clients {
		c.Hangup()
	}
}

// Stop closes all sockets of the switch, waits for its goroutines and removes
// Dir. The end of the test calls it too.
func (s *FakeSwitch) Stop() {
	s.mu.Lock()
	s.closed = true
	listeners, clients, blocked := s.listeners, s.clients, s.blocked
	s.listeners, s.blocked = nil, nil
	s.mu.Unlock()
	s.cancel()
	for _, l := range listeners {
		l.Close()
	}
	for _, c := range clients {
		c.Close()
	}
	if blocked != nil {
		blocked.release()
	}
	s.wg.Wait()
	os.RemoveAll(s.dir)
}

// fakeFillerPrefix starts the abstract names of the connections that Block
// makes to fill the backlog.
const fakeFillerPrefix = "@vdefake-filler-"

// fakeBlock is the state of a switch that does not accept.
type fakeBlock struct {
	resume  chan struct{} // closed by Unblock
	acked   chan struct{} // closed by the accept loop once it is out of Accept
	release func()        // closes the connections that fill the backlog
}

// Block makes the switch stop accepting and fills the backlog of its control
// socket, so that a client's connect waits until Unblock.
func (s *FakeSwitch) Block() error {
	b := &fakeBlock{resume: make(chan struct{}), acked: make(chan struct{}), release: func() {}}
	s.mu.Lock()
	if s.closed || s.blocked != nil {
		s.mu.Unlock()
		return errors.New("testutil: Block on a closed or blocked switch")
	}
	s.blocked = b
	s.mu.Unlock()
	if err := s.ctl.SetDeadline(longAgo); err != nil {
		return err
	}
	select {
	case <-b.acked:
	case <-s.ctx.Done():
		return net.ErrClosed
	}
	release, err := fakeFillBacklog(s.ctl)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		release()
		return net.ErrClosed
	}
	b.release = release
	return nil
}

// Unblock makes the switch accept again, beginning with the clients that wait.
func (s *FakeSwitch) Unblock() error {
	s.mu.Lock()
	b := s.blocked
	s.blocked = nil
	s.mu.Unlock()
	if b == nil {
		return nil
	}
	b.release()
	err := errors.Join(fakeRestoreBacklog(s.ctl), s.ctl.SetDeadline(noDeadline))
	close(b.resume)
	return err
}

// park holds an accept loop between Block and Unblock. It reports whether the
// loop should go on.
func (s *FakeSwitch) park() bool {
	s.mu.Lock()
	b := s.blocked
	s.mu.Unlock()
	if b == nil {
		return s.ctx.Err() == nil // already unblocked
	}
	close(b.acked)
	select {
	case <-b.resume:
		return true
	case <-s.ctx.Done():
		return false
	}
}
