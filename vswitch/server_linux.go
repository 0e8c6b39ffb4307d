// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Listener answers the VDE control protocol in one directory.
type Listener struct {
	sw      *Switch
	dir     controlDir
	pending *pendingConns
	poller  *poller // of the pending connections

	start    time.Time
	logged   atomic.Int64  // when turnedAway logged last, in nanoseconds since start
	unlogged atomic.Uint64 // what it did not log since

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
		sw: sw, start: time.Now(), endpoints: make(map[*linkEndpoint]struct{}),
		ending: make(chan struct{}), done: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			l.dir.remove()
			l.dir.close()
		}
	}()
	if err := l.dir.listen(dir, &sw.cfg); err != nil {
		return nil, err
	}
	if err := l.newPending(); err != nil {
		return nil, err
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		l.poller.close()
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
	l.running.Go(l.poll)
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
	l.pending.end()
	l.poller.wake()
	for _, e := range endpoints {
		e.hangup(cause)
	}
	l.running.Wait()
	l.poller.close()
	err = errors.Join(err, l.dir.close())
	l.sw.mu.Lock()
	delete(l.sw.listeners, l)
	l.sw.mu.Unlock()
	close(l.done)
	return err
}
