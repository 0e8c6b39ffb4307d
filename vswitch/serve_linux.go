// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/wire"
)

// Serve answers clients until ctx ends, the switch is closed or [Listener.Close]
// is called; then it pulls the cables that were plugged in here and removes what
// Listen made. The error says which: the cause of ctx's end, [ErrClosed], or
// [net.ErrClosed].
func (l *Listener) Serve(ctx context.Context) error {
	l.mu.Lock()
	switch {
	case l.cause != nil:
		err := l.cause
		l.mu.Unlock()
		return err
	case l.started:
		l.mu.Unlock()
		return errors.New("vswitch: Serve was called twice")
	}
	l.started = true
	for _, s := range l.sockets {
		l.running.Go(func() { l.accept(s) })
	}
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), l.end(context.Cause(ctx)))
	case <-l.done:
		return l.cause
	}
}

// accept answers the clients of one control socket.
func (l *Listener) accept(s *ctlSocket) {
	const minPause, maxPause = 5 * time.Millisecond, time.Second
	pause := minPause
	for {
		conn, err := s.l.AcceptUnix()
		switch {
		case err == nil:
			pause = minPause
			l.sw.serve.accepted.Add(1)
			l.begin(s, conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			// Most likely there are no descriptors left; there may be later.
			l.sw.cfg.Logger.Warn("cannot accept a client", "socket", s.path, "error", err)
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-l.ending:
			}
			timer.Stop()
			pause = min(2*pause, maxPause)
		}
	}
}

// A pendingConn is a connection whose request has not come or not been answered
// yet.
type pendingConn struct {
	conn     *net.UnixConn
	seq      uint64        // of all that were accepted
	evicted  bool          // closed to make room for others; guarded by Listener.mu
	answered chan struct{} // closed when the request has been answered, or will never come
}

// asked reports whether something has come that has not been read yet.
func (p *pendingConn) asked() (yes bool) {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) { // fails if closed, and then nothing comes any more
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		yes = err == nil && n > 0
	})
	return yes
}

// begin starts the goroutine that serves conn.
func (l *Listener) begin(s *ctlSocket, conn *net.UnixConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		conn.Close()
		return
	}
	if len(l.pending) >= l.sw.cfg.MaxPending {
		// The oldest is the one most likely never to say anything; a client sends
		// its request at once.
		oldest := l.pending[0]
		l.pending = slices.Delete(l.pending, 0, 1)
		oldest.evicted = true
		oldest.conn.Close()
		l.sw.serve.evicted.Add(1)
	}
	l.accepted++
	p := &pendingConn{conn: conn, seq: l.accepted, answered: make(chan struct{})}
	l.pending = append(l.pending, p)
	l.running.Go(func() { l.serve(s, p) })
}

// forget takes p, from which no request came, off the list and reports whether it
// had been evicted.
func (l *Listener) forget(p *pendingConn) (evicted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = slices.DeleteFunc(l.pending, func(q *pendingConn) bool { return q == p })
	close(p.answered)
	return p.evicted
}

// ask notes that p's request has come, and returns those that were accepted before
// p and whose requests have come, too, and have not been answered. Some of them
// may not have been read yet: their goroutines wait for a processor.
func (l *Listener) ask(p *pendingConn) (before []*pendingConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = slices.DeleteFunc(l.pending, func(q *pendingConn) bool { return q == p })
	for _, q := range l.asking {
		if q.seq < p.seq {
			before = append(before, q)
		}
	}
	for _, q := range l.pending {
		if q.seq < p.seq && q.asked() {
			before = append(before, q)
		}
	}
	l.asking = append(l.asking, p)
	return before
}

// answered notes that p's request has been answered.
func (l *Listener) answered(p *pendingConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking = slices.DeleteFunc(l.asking, func(q *pendingConn) bool { return q == p })
	close(p.answered)
}

// awaitAnswers waits until the requests of all in before have been answered, or
// the time for a request is over.
//
// A client that waits for its reply may ask, on a second connection, for what is
// certain to be refused, and take the refusal for a sign that the switch has
// dealt with the first request and will not answer it: that is true of
// vde_switch, which does one thing after the other and refuses in silence
// (section 9). Requests are dealt with side by side here, and one may have to
// wait for Admit or for a processor. Whoever waits here waits only for those that
// were accepted before, so no two wait for each other.
func (l *Listener) awaitAnswers(before []*pendingConn) {
	if len(before) == 0 {
		return
	}
	timer := time.NewTimer(l.sw.cfg.HandshakeTimeout)
	defer timer.Stop()
	for _, p := range before {
		select {
		case <-p.answered:
		case <-timer.C:
			return
		case <-l.ending:
			return
		}
	}
}

// serve serves one client from its request to its end.
func (l *Listener) serve(s *ctlSocket, p *pendingConn) {
	cred, err := credentials(p.conn)
	conn := rightsConn{UnixConn: p.conn, none: err != nil || l.sw.accepts(cred.Uid) == 0}
	var req wire.Request
	if err == nil {
		req, err = readRequest(&conn, l.sw.cfg.HandshakeTimeout)
	}
	if err != nil {
		shm.CloseRights(conn.fds)
		l.rejected(s, err, l.forget(p))
		p.conn.Close()
		return
	}
	before := l.ask(p)
	peer := Peer{
		UID: cred.Uid, GID: cred.Gid, PID: cred.Pid,
		Dir: l.dir, Group: s.group, Port: int(req.Port), Path: req.Path, Description: wire.SanitizeDescription(req.Description),
	}
	c, err := l.join(s, p.conn, peer, conn.fds)
	if err != nil {
		l.sw.serve.refused.Add(1)
		l.awaitAnswers(before)
		p.conn.Close() // which is what tells the client
		l.answered(p)
		l.sw.cfg.Logger.Warn("refused a client", "socket", s.path, "asked", portName(req.Port), "description", wire.SanitizeDescription(req.Description), "reason", err)
		return
	}
	l.answered(p)
	go c.read()
	c.watch()
	<-c.reading
	c.running.Wait()
	l.mu.Lock()
	delete(l.cables, c)
	l.mu.Unlock()
}

// rejected counts and logs a connection without a valid request.
func (l *Listener) rejected(s *ctlSocket, err error, evicted bool) {
	v := &l.sw.serve
	switch {
	case evicted:
		err = errEvicted
	case errors.Is(err, errSilent):
		v.silent.Add(1)
	default:
		v.malformed.Add(1)
	}
	l.sw.cfg.Logger.Info("turned a connection away", "socket", s.path, "reason", err)
}

var (
	errSilent  = errors.New("no request came")
	errEvicted = errors.New("too many connections without a request, this was the oldest")
)

// readRequest reads a request, in however many pieces it comes. What has come
// together with the end of its fixed part is the description.
func readRequest(conn net.Conn, timeout time.Duration) (wire.Request, error) {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return wire.Request{}, err
	}
	var buf [wire.MaxRequestLen + 1]byte
	for n := 0; ; {
		k, err := conn.Read(buf[n:])
		n += k
		if k > 0 {
			req, e := wire.ParseRequest(buf[:n])
			if e != wire.ErrIncomplete {
				return req, e
			}
		}
		if err != nil {
			return wire.Request{}, fmt.Errorf("%w: %d bytes: %w", errSilent, n, err)
		}
	}
}

// join plugs the client in and replies. It takes over fds, the descriptors that
// came with the request. On success the cable, which may have ended already, has
// taken over conn.
func (l *Listener) join(s *ctlSocket, conn *net.UnixConn, peer Peer, fds []int) (_ *socketCable, err error) {
	defer func() { shm.CloseRights(fds) }() // unless they were handed on
	n, first, last, err := l.choose(s, peer)
	if err != nil {
		return nil, err
	}
	fd, err := l.dataSocket(peer.Path, peer.UID)
	if err != nil {
		return nil, err
	}
	rings, agreed, attach := l.rings(peer, fds)
	fds = nil
	c, err := l.newCable(conn, rings, fd, peer)
	if err != nil {
		return nil, err
	}
	c.agreed = agreed
	if err := l.sw.plug(&c.cable, n, first, last); err != nil {
		c.sock.Close()
		if c.path != "" {
			os.Remove(c.path)
		}
		return nil, err
	}
	// From here on the cable ends by hangup, which closes everything.
	if err := l.register(c); err != nil {
		c.hangup(err)
		return nil, err
	}
	l.sw.serve.joined.Add(1)
	if err := reply(conn, c.path, attach, l.sw.cfg.HandshakeTimeout); err != nil {
		c.hangup(err)
	}
	return c, nil
}

// newCable makes the cable of peer, over rings or, if that is nil, over the data
// socket fd; it takes over both.
func (l *Listener) newCable(conn *net.UnixConn, rings *shm.End, fd int, peer Peer) (*socketCable, error) {
	info := Cable{
		Kind: KindSocket, Description: peer.Description,
		UID: peer.UID, GID: peer.GID, PID: peer.PID, Dir: l.dir, Since: time.Now(),
	}
	var c *socketCable
	if rings != nil {
		info.Kind = KindSharedMemory
		c = newSocketCable(l.sw, conn, &ringCarrier{End: rings, data: fd}, info)
		rings.OnBreak(c.brokeRings)
		rings.Join(&ringEnds, c)
		if int(peer.PID) == os.Getpid() {
			rings.SameProcess()
		}
	} else {
		sock, err := sockio.New(fd, "data socket") // owns fd
		if err != nil {
			return nil, err
		}
		c = newSocketCable(l.sw, conn, sock, info)
	}
	c.naming = func() error { return l.name(c, fd) }
	return c, nil
}

// reply tells the client the name of its cable's data socket, with descriptors
// attached.
func reply(conn *net.UnixConn, path string, attach []int, timeout time.Duration) error {
	b, err := wire.AppendReply(nil, path)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, _, err := conn.WriteMsgUnix(b, shm.Rights(attach), nil); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// register makes c one of l's cables, or fails if l has ended.
func (l *Listener) register(c *socketCable) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	l.cables[c] = struct{}{}
	return nil
}

// credentials returns who is at the other end.
func credentials(conn *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("find out who asks: %w", err)
	}
	return cred, nil
}

// choose returns the port for p, as for Switch.plug.
func (l *Listener) choose(s *ctlSocket, p Peer) (n, first, last int, err error) {
	n, first, last = p.Port, 1, l.sw.cfg.NumPorts
	if s.group != "" {
		g := l.sw.cfg.PortGroups[s.group]
		first, last = g.First, g.Last
		if n != 0 && (n < first || n > last) {
			return 0, 0, 0, fmt.Errorf("%w in group %s: %s", ErrPort, s.group, portName(wire.Port(n)))
		}
	}
	if admit := l.sw.cfg.Admit; admit != nil {
		if n, err = admit(p); err != nil {
			return 0, 0, 0, fmt.Errorf("not admitted: %w", err)
		}
	}
	switch {
	case n == 0:
		n = anyPort
	case n == Management:
		n = 0
	case n < 0:
		return 0, 0, 0, fmt.Errorf("%w: admitted to %d", ErrPort, n)
	}
	return n, first, last, nil
}

// dataSocket returns a new datagram socket connected to the client's.
func (l *Listener) dataSocket(path string, uid uint32) (fd int, err error) {
	name, release, err := dataPath(path, uid)
	if err != nil {
		return -1, err
	}
	defer release()
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// Beyond the system's limit if that is allowed, else up to it.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, l.sw.cfg.WriteBuffer) != nil {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, l.sw.cfg.WriteBuffer))
	}
	if err == nil {
		// Package syscall's form of an abstract name may have all 108 bytes, which
		// the client's has, package unix's may not.
		err = os.NewSyscallError("connect", syscall.Connect(fd, &syscall.SockaddrUnix{Name: name}))
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("data socket %q: %w", path, err)
	}
	return fd, nil
}

// dataPath checks that the client may name path as its data socket and returns
// the name to connect to; release must be called after that.
//
// The switch must not send the network's frames to somebody who did not ask, with
// permissions that the client lacks. So the socket has to belong to the client. It
// is connected to by way of the descriptor that was looked at: a name can be
// given to another socket in between. Who changed its user between making the
// socket and connecting to the switch is refused; root may name any.
func dataPath(path string, uid uint32) (name string, release func(), err error) {
	release = func() {}
	if path[0] == '@' {
		return path, release, nil // abstract: nobody owns it, and nobody needs permission
	}
	if path[0] != '/' {
		return "", release, fmt.Errorf("data socket %q: %w: not an absolute path", path, wire.ErrPath)
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", release, &os.PathError{Op: "open", Path: path, Err: err}
	}
	release = func() { unix.Close(fd) }
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		switch {
		case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
			err = unix.ENOTSOCK
		case st.Uid != uid && uid != 0:
			err = fmt.Errorf("it belongs to user %d, the client is %d: %w", st.Uid, uid, unix.EPERM)
		}
	}
	if err != nil {
		release()
		return "", func() {}, fmt.Errorf("data socket %q: %w", path, err)
	}
	name = fmt.Sprintf("/proc/self/fd/%d", fd)
	if unix.Access(name, unix.F_OK) != nil {
		name = path // no proc file system here
	}
	return name, release, nil
}

// name binds the data socket of c, which has its port and number now.
func (l *Listener) name(c *socketCable, fd int) error {
	path := fmt.Sprintf("%s/%03d.%d", l.dir, c.port.num, c.info.ID)
	if len(path) > wire.MaxPathLen {
		// No longer than "ctl", which fits, and the same again only after so
		// many cables that the client of the earlier one has long connected.
		path = l.dir + "/" + strconv.FormatUint(c.info.ID%(36*36*36), 36)
	}
	// The name can only be a dead switch's: ours are unique.
	if err := removeSocket(path); err != nil {
		return err
	}
	mode, uid := l.mode, -1
	if os.Geteuid() == 0 && c.info.UID != 0 {
		mode, uid = mode&0o700, int(c.info.UID)
	}
	if err := bindMode(fd, path, mode, uid, l.gid); err != nil {
		return err
	}
	c.path = path
	return nil
}

// portName returns p as a person would say it.
func portName(p wire.Port) string {
	switch p {
	case wire.AnyPort:
		return "any port"
	case wire.ManagementPort:
		return "port 0"
	}
	return fmt.Sprintf("port %d", p)
}
