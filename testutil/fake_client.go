// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

var (
	longAgo    = time.Unix(1, 0) // a deadline that has passed
	noDeadline time.Time
)

// fakeMaxFrame is the size of receive buffers: no datagram is longer than the
// default send queue.
const fakeMaxFrame = 256 << 10

// A FakeClient is one client of a [FakeSwitch], seen from the switch: its
// control connection and the switch's data socket for it.
type FakeClient struct {
	Index int    // 0 for the first client of the switch
	Group string // the portgroup it connected to; empty for ctl

	sw     *FakeSwitch
	ctl    *net.UnixConn
	ctx    context.Context
	cancel context.CancelCauseFunc

	scripted bool // the script has returned; guarded by sw.mu

	mu       sync.Mutex
	err      error         // first error of a handshake step; guarded by mu
	closed   bool          // guarded by mu
	req      *FakeRequest  // guarded by mu
	data     *net.UnixConn // nil until ConnectBack or Bind; guarded by mu
	dataPath string        // guarded by mu
	port     int           // guarded by mu
	trailing []byte        // bytes on ctl after the script; guarded by mu

	recvMu  sync.Mutex
	recvBuf []byte // guarded by recvMu
}

func newFakeClient(s *FakeSwitch, ctl *net.UnixConn, index int) *FakeClient {
	c := &FakeClient{sw: s, ctl: ctl, Index: index}
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	return c
}

// step runs one step of the handshake unless an earlier one has failed.
func (c *FakeClient) step(f func() error) error {
	err := c.Err()
	if err == nil {
		if err = f(); err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
		}
	}
	return err
}

// Err returns the error that ended the handshake, if one did.
func (c *FakeClient) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// ReadRequest reads the request as a switch does, with one read of at most 256
// bytes, and records it. A malformed request is no error here: see
// [FakeRequest.Err]. After an error the request is nil.
func (c *FakeClient) ReadRequest() (*FakeRequest, error) {
	var r *FakeRequest
	err := c.step(func() error {
		buf := make([]byte, FakeRequestMax)
		n, err := c.ctl.Read(buf)
		if err != nil {
			return err
		}
		r = &FakeRequest{Raw: buf[:n]}
		r.Err = r.parse()
		if r.PID, r.UID, r.GID, err = fakePeerCred(c.ctl); err != nil {
			return err
		}
		r.look(c.sw.dir)
		c.mu.Lock()
		c.req = r
		c.mu.Unlock()
		c.sw.mu.Lock()
		c.sw.requests = append(c.sw.requests, r)
		c.sw.notify()
		c.sw.mu.Unlock()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// ReadCtl reads exactly n bytes from the control connection and records
// nothing, for a switch that stops in the middle of a request.
func (c *FakeClient) ReadCtl(n int) ([]byte, error) {
	buf := make([]byte, n)
	err := c.step(func() error {
		_, err := io.ReadFull(c.ctl, buf)
		return err
	})
	return buf, err
}

// Request returns the request read by ReadRequest, or nil.
func (c *FakeClient) Request() *FakeRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.req
}

// ConnectBack connects the switch's data socket to the client's. Before that, the
// switch cannot send, and the queue for what the client sends holds only a few
// frames.
func (c *FakeClient) ConnectBack() error {
	return c.step(func() error {
		r := c.Request()
		if r == nil || r.Path == "" {
			return errors.New("no address to connect to")
		}
		data, err := c.socket()
		if err != nil {
			return err
		}
		return fakeConnect(data, r.Path)
	})
}

// Bind gives the switch's data socket its name, Dir/NNN.F as vde_switch has it.
// [FakeClient.ReplyBytes] calls Bind if necessary.
func (c *FakeClient) Bind() error {
	return c.step(c.bind)
}

func (c *FakeClient) bind() error {
	data, err := c.socket()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dataPath != "" {
		return nil
	}
	port, uid := 0, -1
	if c.req != nil {
		uid = c.req.UID
		if c.req.Kind == 0 {
			port = c.req.Port
		}
	}
	s := c.sw
	s.mu.Lock()
	if port == 0 && (c.req == nil || c.req.Kind == 0) {
		s.nextPort++
		port = s.nextPort
	}
	s.nextName++
	name := fmt.Sprintf("%03d.%d", port, s.nextName)
	s.own[name] = true
	s.mu.Unlock()
	path := filepath.Join(s.dir, name)
	if err := fakeBind(data, path, 0o600); err != nil {
		return err
	}
	if os.Geteuid() == 0 && uid > 0 {
		if err := os.Chown(path, uid, -1); err != nil {
			return err
		}
	}
	c.dataPath, c.port = path, port
	return nil
}

// socket returns the switch's data socket. It makes the socket if there is none.
func (c *FakeClient) socket() (*net.UnixConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.data == nil {
		data, err := fakeSocket()
		if err != nil {
			return nil, err
		}
		c.data = data
	}
	return c.data, nil
}

// link returns the data socket if there is one.
func (c *FakeClient) link() (*net.UnixConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.data == nil {
		return nil, net.ErrClosed
	}
	return c.data, nil
}

// DataPath returns the name of the switch's data socket; empty before Bind.
func (c *FakeClient) DataPath() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dataPath
}

// PeerPath returns the name of the client's data socket, as in the request. A
// client removes the name when it has joined.
func (c *FakeClient) PeerPath() string {
	if r := c.Request(); r != nil {
		return r.Path
	}
	return ""
}

// Port returns the port that Bind chose: the one asked for, or a free one.
func (c *FakeClient) Port() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.port
}

// ReplyBytes returns the 110 bytes of the correct reply. It binds the data socket
// if that has no name yet. After an error the path in the reply is empty.
func (c *FakeClient) ReplyBytes() []byte {
	c.Bind()
	return FakeSockaddr(fakeFamily, c.DataPath())
}

// Reply sends the correct reply in one piece.
func (c *FakeClient) Reply() error {
	return c.WriteCtl(c.ReplyBytes())
}

// WriteCtl writes any bytes to the control connection.
func (c *FakeClient) WriteCtl(b []byte) error {
	return c.step(func() error {
		_, err := c.ctl.Write(b)
		return err
	})
}

// WritePieces writes to the control connection piece by piece. It writes each one
// after the client has read the one before, so that no read returns two of them.
func (c *FakeClient) WritePieces(pieces ...[]byte) error {
	return c.step(func() error {
		for _, p := range pieces {
			if _, err := c.ctl.Write(p); err != nil {
				return err
			}
			if err := c.drained(); err != nil {
				return err
			}
		}
		return nil
	})
}

// drained waits until the client has read everything written to ctl. The
// kernel has no event for this, so drained polls.
func (c *FakeClient) drained() error {
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for {
		n, err := fakeUnread(c.ctl)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
}

// Wait stops the script until ch is closed or gets a value, or the switch closes.
func (c *FakeClient) Wait(ch <-chan struct{}) error {
	return c.step(func() error {
		select {
		case <-ch:
			return nil
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	})
}

// closeInTurn closes the connection when the scripts of the clients that came before
// have returned, or the switch stops.
func (c *FakeClient) closeInTurn() {
	defer c.Close()
	s := c.sw
	for {
		s.mu.Lock()
		waiting := slices.ContainsFunc(s.clients[:c.Index], func(before *FakeClient) bool { return !before.scripted })
		changed := s.changed
		s.mu.Unlock()
		if !waiting {
			return
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return
		}
	}
}

// Inject sends one datagram to the client's data socket from a foreign socket:
// one without a name and without a peer. It does not wait: the error is EAGAIN if
// the queue is full, and EPERM if the client is connected to its switch already.
func (c *FakeClient) Inject(frame []byte) error {
	path := c.PeerPath()
	if path == "" {
		return errors.New("no address to inject to")
	}
	sock, err := fakeSocket()
	if err != nil {
		return err
	}
	defer sock.Close()
	return fakeSendTo(sock, frame, path)
}

// InjectUntilConnected injects frame repeatedly until the client is connected to
// its switch and so accepts no foreign datagrams. It returns how often the client
// took the frame. Called before the reply, it covers the whole time between reply
// and connect.
func (c *FakeClient) InjectUntilConnected(frame []byte) (n int, err error) {
	for {
		switch err := c.Inject(frame); {
		case err == nil:
			n++
		case fakeIsConnected(err):
			return n, nil
		case !fakeIsFull(err):
			return n, err
		}
		if err := context.Cause(c.ctx); err != nil {
			return n, err
		}
		runtime.Gosched()
	}
}

// Send sends one datagram to the client, waiting while its queue is full. The
// datagram may have any length, so a test can send what is not a frame.
func (c *FakeClient) Send(frame []byte) error {
	data, err := c.link()
	if err != nil {
		return err
	}
	_, err = data.Write(frame)
	return err
}

// TrySend is like Send but does not wait: the error is EAGAIN if the queue is full.
func (c *FakeClient) TrySend(frame []byte) error {
	data, err := c.link()
	if err != nil {
		return err
	}
	return fakeSendTo(data, frame, "")
}

// Flood sends frame until the client's queue is full and returns how many
// times that was.
func (c *FakeClient) Flood(frame []byte) (n int, err error) {
	for {
		err := c.TrySend(frame)
		if fakeIsFull(err) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n++
	}
}

// Recv waits for a datagram from the client. When the client has left and
// everything it sent has been received, the error is [io.EOF].
func (c *FakeClient) Recv(ctx context.Context) ([]byte, error) {
	c.recvMu.Lock()
	defer c.recvMu.Unlock()
	if c.recvBuf == nil {
		c.recvBuf = make([]byte, fakeMaxFrame)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	n, err := c.recv(ctx, c.recvBuf)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), c.recvBuf[:n]...), nil
}

// recv reads one datagram into buf. After the end of ctx it still returns what is
// queued, then the cause of ctx.
func (c *FakeClient) recv(ctx context.Context, buf []byte) (int, error) {
	data, err := c.link()
	if err != nil {
		return 0, err
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		data.SetReadDeadline(longAgo)
		close(woken)
	})
	n, err := data.Read(buf)
	if !stop() {
		<-woken
		data.SetReadDeadline(noDeadline)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if n, err = fakeTryRecv(data, buf); fakeIsFull(err) {
			return 0, context.Cause(ctx)
		}
	}
	return n, err
}

// SetWriteBuffer sets the send buffer of the switch's data socket, which limits
// how many frames may wait for the client.
func (c *FakeClient) SetWriteBuffer(bytes int) error {
	data, err := c.link()
	if err != nil {
		return err
	}
	return data.SetWriteBuffer(bytes)
}

// SetReadBuffer sets the receive buffer of the switch's data socket, which on
// Linux changes nothing for sockets of this family.
func (c *FakeClient) SetReadBuffer(bytes int) error {
	data, err := c.link()
	if err != nil {
		return err
	}
	return data.SetReadBuffer(bytes)
}

// Hangup closes the control connection, which tells the client that its endpoint
// has been removed, and leaves the data socket open.
func (c *FakeClient) Hangup() {
	c.ctl.Close()
}

// HalfClose ends only the switch's direction of the control connection.
func (c *FakeClient) HalfClose() error {
	return c.ctl.CloseWrite()
}

// CloseData closes only the switch's data socket and removes its name.
func (c *FakeClient) CloseData() {
	c.mu.Lock()
	data, path := c.data, c.dataPath
	c.data = nil
	c.mu.Unlock()
	if data != nil {
		data.Close()
	}
	if path != "" {
		os.Remove(path)
	}
}

// Close closes both sockets, as the death of a switch does.
func (c *FakeClient) Close() {
	c.mu.Lock()
	c.closed = true
	if c.err == nil {
		c.err = net.ErrClosed
	}
	c.mu.Unlock()
	c.CloseData()
	c.Hangup()
}

// Context returns a context that ends when the client closes its end of the
// control connection (its cause is then [io.EOF]) or the switch closes its own.
// It is watched from the moment the script has returned.
func (c *FakeClient) Context() context.Context {
	return c.ctx
}

// TrailingBytes returns what the client sent on the control connection after its
// request. A correct client sends nothing there.
func (c *FakeClient) TrailingBytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.trailing...)
}

// watch reads the control connection to its end. It keeps about 64 KiB of what the
// client sends there.
func (c *FakeClient) watch() {
	buf := make([]byte, 4096)
	for {
		n, err := c.ctl.Read(buf)
		c.mu.Lock()
		if len(c.trailing) < 64<<10 {
			c.trailing = append(c.trailing, buf[:n]...)
		}
		c.mu.Unlock()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				// A client that leaves bytes unread is seen as a reset.
				err = io.EOF
			}
			c.cancel(err)
			return
		}
	}
}
