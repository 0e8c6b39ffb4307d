// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// These are the keep-alive settings of package net.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// A TCPConn is a TCP connection of a [Host]. As with [net.TCPConn], Nagle's
// algorithm is off and keep-alive is on by default. Its methods may be called from
// any goroutine.
type TCPConn struct {
	socket
	raddr   net.Addr
	payload bytes.Reader // guarded by wmu
}

var (
	_ net.Conn     = (*TCPConn)(nil)
	_ net.Listener = (*TCPListener)(nil)
)

// newTCPConn returns a connection to the address remote.
func newTCPConn(h *Host, network string, ep tcpip.Endpoint, wq *waiter.Queue, v6 bool, remote tcpip.FullAddress) *TCPConn {
	c := &TCPConn{}
	c.init(h, network, ep, wq, v6)
	c.laddr, c.raddr = c.local("tcp"), netAddr("tcp", addrPort(remote), v6)
	ops := ep.SocketOptions()
	ops.SetDelayOption(false)
	ops.SetKeepAlive(true)
	// These fail only for values that are out of range.
	idle, interval := tcpip.KeepaliveIdleOption(keepAliveIdle), tcpip.KeepaliveIntervalOption(keepAliveInterval)
	_ = ep.SetSockOpt(&idle)
	_ = ep.SetSockOpt(&interval)
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, keepAliveCount)
	return c
}

// Read implements net.Conn.
func (c *TCPConn) Read(b []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if err := c.passed(&c.rd); err != nil {
		return 0, c.opError("read", err)
	}
	if len(b) == 0 {
		return 0, nil
	}
	for {
		w := tcpip.SliceWriter(b)
		res, err := c.ep.Read(&w, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			c.ep.ModerateRecvBuf(res.Count)
			return res.Count, nil
		case *tcpip.ErrWouldBlock:
			if err := c.wait(&c.readable, &c.rd); err != nil {
				return 0, c.opError("read", err)
			}
		case *tcpip.ErrClosedForReceive:
			if err := c.ended(); err != nil {
				return 0, c.opError("read", err)
			}
			return 0, io.EOF
		default:
			return 0, c.opError("read", c.failure("read", err))
		}
	}
}

// Write implements net.Conn.
func (c *TCPConn) Write(b []byte) (n int, err error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	defer c.payload.Reset(nil)
	if err := c.passed(&c.wd); err != nil {
		return 0, c.opError("write", err)
	}
	if err := c.h.Err(); err != nil {
		return 0, c.opError("write", err)
	}
	for first := true; first || n < len(b); first = false { // an empty write reports errors too
		c.payload.Reset(b[n:])
		k, err := c.ep.Write(&c.payload, tcpip.WriteOptions{})
		n += int(k)
		switch {
		case err == nil || n == len(b) && wouldBlock(err):
		case !wouldBlock(err):
			return n, c.opError("write", c.failure("write", err))
		default:
			if err := c.wait(&c.writable, &c.wd); err != nil {
				return n, c.opError("write", err)
			}
		}
	}
	return n, nil
}

// Close implements net.Conn. Data that was written is still sent in the background
// until the Host is closed; see [Host.Shutdown].
func (c *TCPConn) Close() error {
	if !c.close() {
		return c.opError("close", net.ErrClosed)
	}
	return nil
}

// CloseRead shuts down the reading side of the connection.
func (c *TCPConn) CloseRead() error { return c.shutdown(tcpip.ShutdownRead) }

// CloseWrite shuts down the writing side of the connection: the peer reads io.EOF
// after the data.
func (c *TCPConn) CloseWrite() error { return c.shutdown(tcpip.ShutdownWrite) }

func (c *TCPConn) shutdown(how tcpip.ShutdownFlags) error {
	if isDone(c.closing) {
		return c.opError("close", net.ErrClosed)
	}
	if err := c.ep.Shutdown(how); err != nil {
		return c.opError("close", c.failure("shutdown", err))
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *TCPConn) LocalAddr() net.Addr { return c.laddr }

// RemoteAddr implements net.Conn.
func (c *TCPConn) RemoteAddr() net.Addr { return c.raddr }

// SetNoDelay turns Nagle's algorithm off (the default) or on.
func (c *TCPConn) SetNoDelay(noDelay bool) error {
	if isDone(c.closing) {
		return c.opError("set", net.ErrClosed)
	}
	c.ep.SocketOptions().SetDelayOption(!noDelay)
	return nil
}

// SetKeepAlive turns keep-alive probes on (the default) or off.
func (c *TCPConn) SetKeepAlive(keepalive bool) error {
	if isDone(c.closing) {
		return c.opError("set", net.ErrClosed)
	}
	c.ep.SocketOptions().SetKeepAlive(keepalive)
	return nil
}

// SetKeepAlivePeriod sets the time without traffic after which a probe is sent.
func (c *TCPConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: c.ep.SocketOptions().GetKeepAlive(), Idle: max(d, 1), Interval: -1, Count: -1})
}

// SetKeepAliveConfig sets all settings of keep-alive probes. As in package net, zero
// means the default and a negative value leaves a setting alone.
func (c *TCPConn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	if isDone(c.closing) {
		return c.opError("set", net.ErrClosed)
	}
	set := func(opt tcpip.SettableSocketOption, value time.Duration) error {
		if value < 0 {
			return nil
		}
		return errno("setsockopt", c.ep.SetSockOpt(opt))
	}
	idle := tcpip.KeepaliveIdleOption(cmp.Or(config.Idle, keepAliveIdle))
	interval := tcpip.KeepaliveIntervalOption(cmp.Or(config.Interval, keepAliveInterval))
	err := errors.Join(set(&idle, config.Idle), set(&interval, config.Interval))
	if config.Count >= 0 {
		count := cmp.Or(config.Count, keepAliveCount)
		err = errors.Join(err, errno("setsockopt", c.ep.SetSockOptInt(tcpip.KeepaliveCountOption, count)))
	}
	if err != nil {
		return c.opError("set", err)
	}
	// Last, because it starts the timer with the settings above.
	c.ep.SocketOptions().SetKeepAlive(config.Enable)
	return nil
}

// SetReadBuffer sets the size of the receive buffer, up to
// [HostConfig.ReceiveBuffer].
func (c *TCPConn) SetReadBuffer(bytes int) error { return c.setErr(c.setReadBuffer(bytes)) }

// SetWriteBuffer sets the size of the send buffer, up to [HostConfig.SendBuffer].
func (c *TCPConn) SetWriteBuffer(bytes int) error { return c.setErr(c.setWriteBuffer(bytes)) }

func (c *TCPConn) setErr(err error) error {
	if err != nil {
		return c.opError("set", err)
	}
	return nil
}

// SetLinger with sec 0 makes Close discard data that has not been sent and reset the
// connection. Other values restore the default: Close never waits.
func (c *TCPConn) SetLinger(sec int) error {
	if isDone(c.closing) {
		return c.opError("set", net.ErrClosed)
	}
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: sec == 0})
	return nil
}

func (c *TCPConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.laddr, Addr: c.raddr, Err: err}
}

// A TCPListener accepts TCP connections.
type TCPListener struct {
	socket
	bind listenAddr
}

// backlog is how many connections may wait to be accepted, as by default on Linux.
const backlog = 4096

// Accept implements net.Listener. The connection is a [*TCPConn].
func (l *TCPListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP waits for the next connection.
func (l *TCPListener) AcceptTCP() (*TCPConn, error) {
	l.rmu.Lock()
	defer l.rmu.Unlock()
	for {
		if err := l.passed(&l.rd); err != nil {
			return nil, l.opError("accept", err)
		}
		// The connection itself has no address any more if it has been reset.
		var remote tcpip.FullAddress
		ep, wq, err := l.ep.Accept(&remote)
		if err == nil {
			return newTCPConn(l.h, l.network, ep, wq, l.v6, remote), nil
		}
		if !wouldBlock(err) {
			return nil, l.opError("accept", l.failure("accept", err))
		}
		if err := l.wait(&l.readable, &l.rd); err != nil {
			return nil, l.opError("accept", err)
		}
	}
}

// Close implements net.Listener. Connections that have not been accepted are reset.
func (l *TCPListener) Close() error {
	if !l.close() {
		return l.opError("close", net.ErrClosed)
	}
	l.h.listeners.remove(l)
	return nil
}

// Addr implements net.Listener.
func (l *TCPListener) Addr() net.Addr { return l.laddr }

func (l *TCPListener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: l.network, Addr: l.laddr, Err: err}
}

// listenTCP listens on ap, or on all addresses if ap has none.
func (h *Host) listenTCP(network string, name networkName, ap netip.AddrPort, control controlFunc) (*TCPListener, error) {
	l := &TCPListener{bind: h.listenAddrOf(name, ap.Addr())}
	err := h.bound(&l.socket, network, tcp.ProtocolNumber, name, ap, control, func(ep tcpip.Endpoint, full tcpip.FullAddress) error {
		h.listeners.mu.Lock()
		defer h.listeners.mu.Unlock()
		ep.SocketOptions().SetReuseAddress(true)
		l.bind.shared = ep.SocketOptions().GetReusePort()
		if err := ep.Bind(full); err != nil {
			return errno("bind", err)
		}
		local, err := ep.GetLocalAddress()
		if err != nil {
			return errno("bind", err)
		}
		l.bind.port = local.Port
		if h.listeners.conflict(l.bind) {
			return errno("bind", &tcpip.ErrPortInUse{})
		}
		if err := ep.Listen(backlog); err != nil {
			return errno("listen", err)
		}
		h.listeners.add(l)
		return nil
	})
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: netAddr("tcp", ap, false), Err: err}
	}
	l.laddr = l.local("tcp")
	return l, nil
}

// dialTCP connects to ap.
func (h *Host) dialTCP(ctx context.Context, network string, ap netip.AddrPort, o dialOptions) (*TCPConn, error) {
	ep, wq, err := h.newEndpoint(tcp.ProtocolNumber, protocolOf(ap.Addr()))
	if err != nil {
		return nil, err
	}
	ep.SocketOptions().SetReuseAddress(o.local.Port() != 0) // a port in TIME-WAIT
	if err := o.prepare("tcp", ap, ep); err != nil {
		ep.Close()
		return nil, err
	}
	entry, ch := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if err := h.connect(ctx, ep, ch, fullAddress(ap)); err != nil {
		ep.Close()
		return nil, err
	}
	return newTCPConn(h, network, ep, wq, ap.Addr().Is6(), fullAddress(ap)), nil
}

// connect connects ep and waits for the result, or until ctx or the host ends.
func (h *Host) connect(ctx context.Context, ep tcpip.Endpoint, ch <-chan struct{}, to tcpip.FullAddress) error {
	// Close takes this lock too, so that it finds the connection.
	h.opening.RLock()
	if err := h.Err(); err != nil {
		h.opening.RUnlock()
		return err
	}
	terr := ep.Connect(to)
	h.opening.RUnlock()
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ch:
		case <-ctx.Done():
			return contextError(ctx)
		case <-h.done:
			return h.Err()
		}
		terr = ep.LastError()
	}
	if terr == nil {
		return nil
	}
	if err := h.Err(); err != nil {
		return err
	}
	return errno("connect", terr)
}
