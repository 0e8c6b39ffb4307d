// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// FakeServe is the script of a correct switch: it reads the request, connects
// back, replies, and leaves the data socket to the test. It refuses a malformed
// request by end of file, and so a client it cannot reach, once it has dealt with those
// that came before: clients take a switch that answers others first for one that refuses them.
func FakeServe(c *FakeClient) {
	r, err := c.ReadRequest()
	if err != nil || r.Err != nil {
		c.Close()
		return
	}
	if c.ConnectBack() != nil {
		c.closeInTurn()
		return
	}
	c.Reply()
}

// FakeRefuse is the script of a switch that reads the request and refuses it by
// end of file.
func FakeRefuse(c *FakeClient) {
	c.ReadRequest()
	c.Close()
}

// FakeSilence is the script of a switch that reads the request and never
// answers, as vde_switch 2.3.2 does when a port is taken.
func FakeSilence(c *FakeClient) {
	c.ReadRequest()
}

// FakeRefusePort returns the script of a switch that serves every port but one:
// it refuses a client that asks for that port, by end of file.
func FakeRefusePort(port int) FakeScript {
	return fakeServeExcept(port, (*FakeClient).Close)
}

// FakeIgnorePort returns the script of a switch that serves every port but one:
// it never answers a client that asks for that port.
func FakeIgnorePort(port int) FakeScript {
	return fakeServeExcept(port, func(*FakeClient) {})
}

func fakeServeExcept(port int, refuse func(*FakeClient)) FakeScript {
	return func(c *FakeClient) {
		r, err := c.ReadRequest()
		switch {
		case err == nil && r.Err == nil && r.Port == port:
			refuse(c)
		case err != nil || r.Err != nil:
			c.Close()
		case c.ConnectBack() != nil:
			c.closeInTurn()
		default:
			c.Reply()
		}
	}
}

// FakeHub returns a switch that is a hub: what one client sends reaches all
// others, unchanged and in order. Frames shorter than an Ethernet header are
// dropped. Unlike a real switch, the hub never drops a frame when a queue is full
// but waits, so that tests need no retries. So a client that stops reading stops
// those that send to it.
func FakeHub(tb testing.TB) *FakeSwitch {
	tb.Helper()
	h := new(fakeHub)
	return NewFakeSwitch(tb, h.serve)
}

// A fakeHub joins the clients of one switch.
type fakeHub struct {
	mu    sync.Mutex // serializes changes of ports
	ports atomic.Pointer[[]*fakeHubPort]
}

type fakeHubPort struct {
	c    *FakeClient
	data *net.UnixConn
}

func (h *fakeHub) serve(c *FakeClient) {
	r, err := c.ReadRequest()
	if err != nil || r.Err != nil {
		c.Close()
		return
	}
	if c.ConnectBack() != nil || c.Bind() != nil {
		c.closeInTurn()
		return
	}
	data, err := c.link()
	if err != nil {
		return
	}
	// Added before the reply: a client that has its reply may rely on receiving
	// what others send.
	p := &fakeHubPort{c, data}
	h.change(func(ports []*fakeHubPort) []*fakeHubPort { return append(ports, p) })
	c.sw.wg.Go(func() { h.forward(p) })
	c.Reply()
}

func (h *fakeHub) change(f func([]*fakeHubPort) []*fakeHubPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ports []*fakeHubPort
	if old := h.ports.Load(); old != nil {
		ports = slices.Clone(*old)
	}
	ports = f(ports)
	h.ports.Store(&ports)
}

// forward moves what p's client sends until the client has left and its queue
// is empty. It allocates nothing per frame, since tests count the allocations of
// the whole process.
func (h *fakeHub) forward(p *fakeHubPort) {
	defer p.c.Close()
	defer h.change(func(ports []*fakeHubPort) []*fakeHubPort {
		return slices.DeleteFunc(ports, func(q *fakeHubPort) bool { return q == p })
	})
	defer context.AfterFunc(p.c.ctx, func() { p.data.SetReadDeadline(longAgo) })()
	buf := make([]byte, fakeMaxFrame)
	for {
		n, err := p.data.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			n, err = fakeTryRecv(p.data, buf)
		}
		if err != nil {
			return // closed, or drained after the client left
		}
		if n < 14 {
			continue
		}
		for _, q := range *h.ports.Load() {
			if q != p {
				q.data.Write(buf[:n]) // an error means that q's client has left
			}
		}
	}
}

// FakePointToPoint returns a switch that joins its first two clients directly: each
// is given the address of the other's data socket, so that a frame is in the
// receiver's queue when the sender's call returns, and a full queue stops the
// sender at once. The switch replies when both have asked, so open the two ends at
// the same time. Further clients are refused.
//
// [FakeSwitch.HangupAll] hangs up on both and leaves their data sockets connected.
func FakePointToPoint(tb testing.TB) *FakeSwitch {
	tb.Helper()
	k := &fakePointToPoint{}
	for i := range k.ends {
		k.ends[i].known = make(chan struct{})
		k.ends[i].replied = make(chan struct{})
	}
	return NewFakeSwitch(tb, k.serve)
}

// A fakePointToPoint joins the first two clients that it can reach.
type fakePointToPoint struct {
	mu   sync.Mutex
	n    int // ends that are known; guarded by mu
	ends [2]struct {
		path    string
		known   chan struct{} // closed once path is set
		replied chan struct{} // closed once the client has its reply, or has gone
	}
}

func (k *fakePointToPoint) serve(c *FakeClient) {
	r, err := c.ReadRequest()
	i, ok := 0, false
	if err == nil && r.Err == nil {
		i, ok = k.join(c, r.Path)
	}
	if !ok {
		// A client that has waited long for its reply asks once more, without an
		// address, and takes an answer to that for a refusal of its first request.
		// So answer the two ends first, as a switch does that handles requests in
		// turn.
		for _, end := range &k.ends {
			c.Wait(end.replied)
		}
		c.Close()
		return
	}
	defer close(k.ends[i].replied)
	other := &k.ends[1-i]
	if c.Wait(other.known) == nil {
		c.WriteCtl(FakeSockaddr(fakeFamily, other.path))
	}
}

// join makes the data socket at path one end, unless both are taken.
func (k *fakePointToPoint) join(c *FakeClient, path string) (i int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i = k.n
	if i == len(k.ends) {
		return 0, false
	}
	if path[0] != '@' {
		// A second name: the client removes its own as soon as it has joined,
		// perhaps before the other has connected to it.
		name := "end" + strconv.Itoa(i)
		link := filepath.Join(c.sw.dir, name)
		if err := os.Link(path, link); err != nil {
			return 0, false
		}
		c.sw.mu.Lock()
		c.sw.own[name] = true
		c.sw.mu.Unlock()
		path = link
	}
	k.n++
	k.ends[i].path = path
	close(k.ends[i].known)
	return i, true
}
