// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// accept waits for a client.
func (s *ctlSocket) accept() (fd int, err error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Read(func(l uintptr) bool {
		for {
			fd, _, err = unix.Accept4(int(l), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	}); e != nil {
		return -1, e
	}
	return fd, os.NewSyscallError("accept4", err)
}

// accept gives the clients of one control socket their places.
func (l *Listener) accept(s *ctlSocket) {
	const minPause, maxPause = 5 * time.Millisecond, time.Second
	pause := minPause
	for {
		fd, err := s.accept()
		if err == nil {
			pause = minPause
			l.sw.serve.accepted.Add(1)
			l.begin(s, fd)
			continue
		}
		select {
		case <-l.ending:
			return // and the socket is closed
		default:
		}
		// Most likely there are no descriptors left. There may be later, or without
		// those who only connect.
		if l.pending.makeRoom() {
			continue
		}
		l.sw.cfg.Logger.Warn("cannot accept a client", "socket", s.file.Name(), "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.ending:
		}
		timer.Stop()
		pause = min(2*pause, maxPause)
	}
}

// begin gives the client at fd a place.
func (l *Listener) begin(s *ctlSocket, fd int) {
	p := &pendingConn{fd: fd, socket: s, deadline: time.Now().Add(l.sw.cfg.HandshakeTimeout)}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil {
		p.peer = *cred
		err = l.pending.add(p)
	}
	if err != nil {
		transport.CloseConnection(fd)
		l.rejected(p, err)
	}
}

// serve reads what has come from a client, and if that is its request, answers it
// and stays until the endpoint's end.
func (l *Listener) serve(p *pendingConn) {
	noDescriptors := l.sw.accepts(p.peer.Uid) == 0 || transport.ClosersBusy()
	req, err := p.read(noDescriptors)
	if errors.Is(err, unix.EAGAIN) {
		if err = l.pending.incomplete(p); err == nil {
			return
		}
	}
	if err != nil {
		transport.CloseDescriptors(p.request.fds)
		transport.CloseSocket(p.fd)
		l.rejected(p, err)
		l.pending.done(p)
		return
	}
	if e := l.answer(p, req, noDescriptors); e != nil {
		<-e.done
		l.mu.Lock()
		delete(l.endpoints, e)
		l.mu.Unlock()
	}
}

// answer answers the request of p, and returns its endpoint, nil after a refusal.
func (l *Listener) answer(p *pendingConn, req wire.Request, noDescriptors bool) *linkEndpoint {
	defer l.pending.done(p)
	peer := Peer{
		UID: p.peer.Uid, GID: p.peer.Gid, PID: p.peer.Pid,
		Dir: l.dir.path, Group: p.socket.group, Port: int(req.Port), Path: req.Path,
		Description: wire.SanitizeDescription(req.Description),
	}
	fds := p.request.fds
	p.request = nil
	l.poller.forget(p.fd)
	transport.RefuseDescriptors(p.fd) // further ones
	stream, err := transport.NewStream(p.fd, "control stream")
	if err != nil {
		transport.CloseDescriptors(fds)
	} else {
		stream.NoDescriptors = noDescriptors
		var e *linkEndpoint
		if e, err = l.join(p.socket, stream, fds, peer); err == nil {
			return e
		}
	}
	l.sw.serve.refused.Add(1)
	awaitAnswers(l.pending.before(p), l.sw.cfg.HandshakeTimeout, l.ending)
	if stream != nil {
		stream.Close() // which is what tells the client
	}
	l.sw.cfg.Logger.Warn("refused a client", "socket", p.socket.file.Name(), "asked", wire.Port(peer.Port).String(), "description", peer.Description, "reason", err)
	return nil
}

// rejected counts and logs a connection without a valid request. It never waits.
func (l *Listener) rejected(p *pendingConn, err error) {
	switch {
	case err == errEvicted:
		l.sw.serve.evicted.Add(1)
	case errors.Is(err, errSilent):
		l.sw.serve.silent.Add(1)
	default:
		l.sw.serve.malformed.Add(1)
	}
	l.turnedAway(p, err)
}

// turnedAwayPause is the shortest time between two records of turnedAway, so that
// strangers who connect all the time do not fill the log.
const turnedAwayPause = 10 * time.Millisecond

// turnedAway logs a connection that was closed before its request, and how many were
// not logged since the last one that was.
func (l *Listener) turnedAway(p *pendingConn, err error) {
	last, now := l.logged.Load(), time.Since(l.start).Nanoseconds()
	if now-last < int64(turnedAwayPause) || !l.logged.CompareAndSwap(last, now) {
		l.unlogged.Add(1)
		return
	}
	l.sw.cfg.Logger.Info("turned a connection away", "socket", p.socket.file.Name(), "uid", p.peer.Uid, "pid", p.peer.Pid, "reason", err, "others", l.unlogged.Swap(0))
}

var (
	errSilent  = errors.New("no request came")
	errEvicted = errors.New("too many connections without a request, this was the oldest of the user with most")
)

// A requestBuffer is what has come of a request.
type requestBuffer struct {
	buf [wire.MaxRequestLen + 1]byte
	n   int
	fds []int // that came with it
}

// read reads the request as far as it has come. An error that matches EAGAIN means
// that there is more to come.
func (p *pendingConn) read(noDescriptors bool) (wire.Request, error) {
	if p.request == nil {
		p.request = new(requestBuffer)
	}
	return p.request.read(func(b []byte) (n int, err error) {
		n, p.request.fds, err = transport.Receive(p.fd, b, p.request.fds, noDescriptors)
		if n == 0 && err == nil {
			err = io.EOF
		}
		return n, err
	})
}

// read reads a request with receive until that fails, in however many pieces it
// comes. What has come together with the end of its fixed part is the description.
func (r *requestBuffer) read(receive func([]byte) (int, error)) (wire.Request, error) {
	for {
		k, err := receive(r.buf[r.n:])
		r.n += k
		if k > 0 {
			req, e := wire.ParseRequest(r.buf[:r.n])
			if e != wire.ErrIncomplete {
				return req, e
			}
		}
		switch {
		case errors.Is(err, unix.EAGAIN):
			return wire.Request{}, err
		case err != nil:
			return wire.Request{}, fmt.Errorf("%w: %d bytes: %w", errSilent, r.n, err)
		}
	}
}
