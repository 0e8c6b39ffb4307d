// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// A Listener answers the VDE control protocol in one directory.
type Listener struct {
	sw    *Switch
	dir   controlDir
	order requestOrder

	mu        sync.Mutex
	started   bool                       // guarded by mu
	endpoints map[*linkEndpoint]struct{} // guarded by mu
	cause     error                      // guarded by mu; why it ended, nil before
	running   sync.WaitGroup             // added to with mu held and cause nil

	ending chan struct{} // closed when it begins to end
	done   chan struct{} // closed when it has ended
}

// Listen makes the control directory dir, if it is not there, and in it the
// control socket and those of the port groups. Clients that connect from then on
// wait until [Listener.Serve] is called.
//
// A control socket that a switch left behind is replaced; one at which a switch
// answers makes Listen fail with [ErrInUse]. The new socket appears under its
// name only when it answers, so two switches that start at the same time do not
// take each other for dead.
func (sw *Switch) Listen(dir string) (*Listener, error) {
	l, err := sw.listen(dir)
	if err != nil {
		return nil, fmt.Errorf("vswitch: serve %s: %w", dir, err)
	}
	return l, nil
}

func (sw *Switch) listen(dir string) (_ *Listener, err error) {
	sw.mu.Lock()
	err = sw.check()
	sw.mu.Unlock()
	if err != nil {
		return nil, err
	}
	l := &Listener{
		sw: sw, endpoints: make(map[*linkEndpoint]struct{}),
		ending: make(chan struct{}), done: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			l.dir.remove()
		}
	}()
	if err := l.dir.listen(dir, &sw.cfg); err != nil {
		return nil, err
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return nil, err
	}
	sw.listeners[l] = true
	return l, nil
}

// Dir returns the control directory, absolute and without symbolic links.
func (l *Listener) Dir() string { return l.dir.path }

// Serve answers clients until ctx ends, the switch is closed or [Listener.Close]
// is called; then it ends the endpoints that joined here and removes what
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
		return errors.New("Serve was called twice")
	}
	l.started = true
	for _, s := range l.dir.sockets {
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
		stream, err := s.accept()
		if err == nil {
			pause = minPause
			l.sw.serve.accepted.Add(1)
			l.begin(s, stream)
			continue
		}
		select {
		case <-l.ending:
			return // and the socket is closed
		default:
		}
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

// begin starts the goroutine that serves the client at stream.
func (l *Listener) begin(s *ctlSocket, stream *transport.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		stream.Close()
		return
	}
	p, evicted := l.order.add(stream, l.sw.cfg.MaxPending)
	if evicted != nil {
		l.sw.serve.evicted.Add(1)
	}
	l.running.Go(func() { l.serve(s, p) })
}

// serve serves one client from its request to its end.
func (l *Listener) serve(s *ctlSocket, p *pendingConn) {
	peer, err := l.awaitRequest(s, p.stream)
	if err != nil {
		transport.CloseDescriptors(p.stream.Descriptors())
		l.rejected(s, err, l.order.forget(p))
		p.stream.Close()
		return
	}
	before := l.order.ask(p)
	e, err := l.join(s, p.stream, peer)
	if err != nil {
		l.sw.serve.refused.Add(1)
		awaitAnswers(before, l.sw.cfg.HandshakeTimeout, l.ending)
		p.stream.Close() // which is what tells the client
		l.order.answered(p)
		l.sw.cfg.Logger.Warn("refused a client", "socket", s.path, "asked", portName(wire.Port(peer.Port)), "description", peer.Description, "reason", err)
		return
	}
	l.order.answered(p)
	<-e.done
	l.mu.Lock()
	delete(l.endpoints, e)
	l.mu.Unlock()
}

// awaitRequest waits for the request of a client.
func (l *Listener) awaitRequest(s *ctlSocket, stream *transport.Stream) (p Peer, err error) {
	cred, err := stream.Peer()
	if err != nil {
		return p, err
	}
	stream.NoDescriptors = l.sw.accepts(cred.Uid) == 0
	req, err := readRequest(stream, l.sw.cfg.HandshakeTimeout)
	return Peer{
		UID: cred.Uid, GID: cred.Gid, PID: cred.Pid,
		Dir: l.dir.path, Group: s.group, Port: int(req.Port), Path: req.Path,
		Description: wire.SanitizeDescription(req.Description),
	}, err
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

// A requestReader is what a request is read from.
type requestReader interface {
	io.Reader
	SetReadDeadline(t time.Time) error
}

// readRequest reads a request, in however many pieces it comes. What has come
// together with the end of its fixed part is the description.
func readRequest(conn requestReader, timeout time.Duration) (wire.Request, error) {
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

// register makes e one of l's endpoints, or fails if l has ended.
func (l *Listener) register(e *linkEndpoint) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	l.endpoints[e] = struct{}{}
	return nil
}

// Close stops serving: Serve returns [net.ErrClosed], and all endpoints that
// joined here are ended.
func (l *Listener) Close() error { return l.end(net.ErrClosed) }

// end stops serving for the reason cause, and waits until everything has ended.
func (l *Listener) end(cause error) error {
	l.mu.Lock()
	if l.cause != nil {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.cause = cause
	close(l.ending)
	endpoints := slices.Collect(maps.Keys(l.endpoints))
	l.mu.Unlock()

	err := l.dir.remove()
	l.order.closePending()
	for _, e := range endpoints {
		e.hangup(cause)
	}
	l.running.Wait()
	err = errors.Join(err, l.dir.removeDir())
	l.sw.mu.Lock()
	delete(l.sw.listeners, l)
	l.sw.mu.Unlock()
	close(l.done)
	return err
}
