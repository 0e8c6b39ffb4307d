// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/sockfile"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/link"
)

// accepts returns the features that a client of user uid may have of those it
// offers.
func (sw *Switch) accepts(uid uint32) uint64 {
	sameUser := int(uid) == os.Geteuid()
	switch mode := sw.cfg.SharedMemory; {
	case mode == link.SharedMemoryAlways, sameUser && mode == link.SharedMemorySameUser:
		return shm.FeatureRings | shm.FeatureHeaders
	case sameUser:
		return shm.FeatureHeaders // no memory is shared for that
	}
	return 0
}

// ringEnds is this side's ends of all rings, whatever switch they are of: a
// goroutine that polls for one of them keeps a processor of the whole process.
var ringEnds shm.Group

// A ringTransport carries frames through rings. The data socket that the reply
// names stays, connected to the peer's, so that the directory and the handshake
// are what they are for every client; nothing comes through it.
type ringTransport struct {
	*shm.End
	data int
	free func() // gives the memory of the rings back; nil if it was not counted
}

// Close implements [transport.Transport].
func (r *ringTransport) Close() (unread int, err error) {
	unread, err = r.End.Close()
	err = errors.Join(err, transport.CloseSocket(r.data))
	if r.free != nil {
		r.free()
	}
	return unread, err
}

// A joining is what becomes an endpoint for one client.
type joining struct {
	stream    *transport.Stream
	transport transport.Transport // nil for a stream until it has a port
	kind      Kind
	features  uint8          // of a stream
	fd        int            // of the data socket, which transport owns
	name      *sockfile.File // of the data socket, once it has its name
	attach    []int          // descriptors that go with the reply
	attached  func()         // to be called when that is sent; nil without descriptors
}

// discard closes what does not become an endpoint, but for the control stream.
func (j *joining) discard() {
	if j.transport != nil {
		_, _ = j.transport.Close()
	} else {
		_ = transport.CloseSocket(j.fd)
	}
	if j.name != nil {
		_ = j.name.Remove()
	}
}

// join makes an endpoint for the client and replies. It takes over fds, which came
// with the request. On success the endpoint, which may have ended already, owns the
// stream.
func (l *Listener) join(s *ctlSocket, stream *transport.Stream, fds []int, peer Peer) (*linkEndpoint, error) {
	n, first, last, err := l.choose(s, peer)
	if err != nil {
		transport.CloseDescriptors(fds)
		return nil, err
	}
	j := &joining{stream: stream}
	if j.fd, err = l.dataSocket(peer.Path, peer.UID); err != nil {
		transport.CloseDescriptors(fds)
		return nil, err
	}
	if err := j.makeTransport(l, peer, fds); err != nil {
		return nil, err
	}
	e := newLinkEndpoint(l.sw, func(e *endpoint) (link.Link, error) { return l.open(j, e) })
	e.info = Endpoint{
		Kind: j.kind, Description: peer.Description,
		UID: peer.UID, GID: peer.GID, PID: peer.PID, Dir: l.dir.path, Since: time.Now(),
	}
	err = stream.SetDeadline(time.Time{})
	if err == nil {
		err = l.sw.addEndpoint(&e.endpoint, n, first, last)
	}
	if err != nil {
		j.discard()
		return nil, err
	}
	// From here on the endpoint ends by hangup, which closes everything.
	defer func() { go e.receive() }()
	if err := l.register(e); err != nil {
		e.hangup(err)
		return nil, err
	}
	l.sw.serve.joined.Add(1)
	if err := j.reply(l.sw.cfg.HandshakeTimeout); err != nil {
		e.hangup(err)
	}
	return e, nil
}

// makeTransport makes what carries the frames: the rings that the client offers
// with fds, which it takes over, or the data socket. A client whose offer is of no
// use gets an endpoint all the same.
func (j *joining) makeTransport(l *Listener, p Peer, fds []int) error {
	want := l.sw.accepts(p.UID)
	size, err := shm.OfferSize(fds)
	if want&shm.FeatureRings == 0 || err != nil {
		size = 0 // none of it is shared
	} else if !l.sw.reserveMemory(size) {
		want, size = want&^shm.FeatureRings, 0
		l.sw.serve.ringsOverBudget.Add(1)
		l.sw.cfg.Logger.Info("no shared memory left for a client", "dir", l.dir.path, "uid", p.UID, "pid", p.PID)
	}
	end, headers, attach, err := shm.Accept(fds, want)
	if end == nil {
		l.sw.releaseMemory(size)
	}
	if err != nil {
		l.sw.serve.ringsRejected.Add(1)
		l.sw.cfg.Logger.Info("rejected an offer of shared memory", "dir", l.dir.path, "uid", p.UID, "pid", p.PID, "reason", err)
	}
	j.attach = attach
	if end == nil {
		if j.features, err = l.takesStream(j.stream); err == nil {
			j.kind = KindStream
			return nil
		}
		j.kind = KindSocket
		j.transport, err = newSocket(j.fd, headers)
		return err
	}
	j.kind, j.attached = KindSharedMemory, end.Attached
	end.Join(&ringEnds)
	if l.sw.cfg.NoPolling {
		end.NoPolling()
	}
	if int(p.PID) == os.Getpid() {
		end.SameProcess()
	}
	j.transport = &ringTransport{end, j.fd, sync.OnceFunc(func() { l.sw.releaseMemory(size) })}
	return nil
}

// reserveMemory takes n bytes of the memory that clients may share, and reports
// whether they may have so much.
func (sw *Switch) reserveMemory(n int64) bool {
	for {
		used := sw.sharedMemory.Load()
		if n > max(sw.cfg.MaxSharedMemory-used, 0)/4 {
			return false
		}
		if sw.sharedMemory.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (sw *Switch) releaseMemory(n int64) { sw.sharedMemory.Add(-n) }

func newSocket(fd int, headers bool) (transport.Transport, error) {
	s, err := sockio.New(fd, "data socket", headers)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// open gives the data socket of j its name, now that e has its port, and returns
// the link.
func (l *Listener) open(j *joining, e *endpoint) (link.Link, error) {
	name, err := l.dir.bindData(j.fd, e)
	if err != nil {
		return nil, err
	}
	j.name = name
	if j.kind == KindStream {
		return l.openStream(j)
	}
	return transport.New(transport.Config{
		Stream: j.stream, Transport: j.transport, OnData: l.trailingByte,
		Refuse:       true,
		TakesPartial: j.kind == KindSharedMemory,   // shm.Accept told the client
		StreamFirst:  true,                         // so that the client knows before it sends to a socket that is gone
		OnClose:      func() { _ = name.Remove() }, // the client has connected, or never will
	}), nil
}

var errTrailingBytes = errors.New("the client sent bytes after its request")

// trailingByte counts a client that goes on after its request. vde_switch takes
// that for another request and loses its hold on the endpoint
// (docs/spec/vde-protocol.md, section 10); here it ends the endpoint.
func (l *Listener) trailingByte() error {
	l.sw.serve.trailingBytes.Add(1)
	return errTrailingBytes
}

// reply tells the client the name of its data socket, with descriptors attached.
func (j *joining) reply(timeout time.Duration) error {
	if s, ok := j.transport.(*streamTransport); ok {
		return s.Flush()
	}
	b, err := wire.AppendReply(nil, j.name.Path())
	if err != nil {
		return err
	}
	if err := j.stream.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if err := j.stream.Write(b, j.attach); err != nil {
		return err
	}
	if j.attached != nil {
		j.attached()
	}
	return j.stream.SetDeadline(time.Time{})
}

// choose returns the port for p, as for Switch.addEndpoint.
func (l *Listener) choose(s *ctlSocket, p Peer) (n, first, last int, err error) {
	n, first, last = p.Port, 1, 0
	if s.group != "" {
		g := l.sw.cfg.PortGroups[s.group]
		first, last = g.First, g.Last
		if n != 0 && (n < first || n > last) {
			return 0, 0, 0, fmt.Errorf("%w in group %s: %s", ErrNoPort, s.group, wire.Port(n))
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
		return 0, 0, 0, fmt.Errorf("%w: admitted to %d", ErrNoPort, n)
	}
	return n, first, last, nil
}

// dataSocket returns a new datagram socket connected to the client's.
//
// The switch must not send frames to a process that did not ask for them, with
// permissions that the client lacks. So the client's socket has to belong to the
// client. A client that changed its user between making the socket and connecting to
// the switch is refused; root may name any.
func (l *Listener) dataSocket(path string, uid uint32) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	transport.RefuseDescriptors(fd)
	err = setWriteBuffer(fd, l.sw.cfg.WriteBuffer)
	if err == nil {
		err = connectData(fd, path, uid)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("data socket %q: %w", path, err)
	}
	return fd, nil
}

// setWriteBuffer sets the size of the queue of the socket fd: beyond the system's
// limit if that is allowed, else up to it.
func setWriteBuffer(fd, n int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, n) == nil {
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n))
}

// connectData connects fd to the data socket of a client.
func connectData(fd int, path string, uid uint32) error {
	switch path[0] {
	case '/':
		f, owner, err := sockfile.OpenSocket(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := checkOwner(owner, uid); err != nil {
			return err
		}
		// By way of the descriptor that was looked at: a name can be given to another
		// socket in between.
		return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: f.Address()}))
	case '@':
		// Package syscall's form of an abstract name may have all 108 bytes, which
		// the client's has, package unix's may not.
		if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
			return os.NewSyscallError("connect", err)
		}
		if uid == 0 {
			return nil
		}
		owner, err := sockfile.PeerOwner(fd, "\x00"+path[1:])
		if err != nil {
			return err
		}
		return checkOwner(owner, uid)
	}
	return fmt.Errorf("%w: not an absolute path", wire.ErrPath)
}

// checkOwner checks that a client of user uid may name a socket of owner.
func checkOwner(owner, uid uint32) error {
	if owner != uid && uid != 0 {
		return fmt.Errorf("it belongs to user %d, the client is %d: %w", owner, uid, unix.EPERM)
	}
	return nil
}
