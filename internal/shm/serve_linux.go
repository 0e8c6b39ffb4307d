// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"sync"

	"github.com/go-vde/sdk/link"
)

// A member is the part of an End in a [Group].
type member struct {
	group       *Group // nil if in none; set before the first receive
	othersFirst bool   // guarded by receiver.waitMu; see takeTurns

	receiver link.Receiver // set by Serve

	mu    sync.Mutex // the receive lock: held while receiver is called; guards what follows
	ended bool       // receiver.Ended was called
}

// Join makes e a member of g. It must be called before the first receive; from then
// on [End.Serve] takes the place of receives that wait.
func (e *End) Join(g *Group) { e.member.group = g }

// Serve implements [link.Notifier] for an End in a [Group]. While e is the leader,
// it also calls the receivers of other Ends of the group. No read deadline may be
// set.
func (e *End) Serve(r link.Receiver) {
	e.member.receiver = r
	e.serve()
}

func (e *End) serve() {
	release := e.release
	handedOver := false
	handOver := func() { // for the receivers of others: e must not wait for them
		if !handedOver {
			handedOver = true
			e.release()
			go e.serve()
		}
	}
	for !handedOver {
		x, err := e.awaitFrame()
		switch {
		case err != nil: // closed, drained, or broken
			e.release()
			e.end(err)
			return
		case x == e:
			if !e.member.mu.TryLock() {
				e.release()
				e.member.mu.Lock()
			}
			e.callReady(release)
		default:
			if !x.member.mu.TryLock() || !x.callReady(handOver) {
				e.release() // x's own goroutine receives
			}
		}
	}
}

// callReady calls the receiver and reports what that returns; member.mu is held,
// and released.
func (e *End) callReady(release func()) bool {
	defer e.member.mu.Unlock()
	return !e.member.ended && e.member.receiver.Ready(release)
}

// end tells the receiver that it is not called any more.
func (e *End) end(err error) {
	e.member.mu.Lock() // another End may be calling it
	defer e.member.mu.Unlock()
	e.member.ended = true
	e.member.receiver.Ended(err)
}

// release ends e's leadership of its group: the receives of others sleep by
// themselves again.
func (e *End) release() { e.member.group.release(e) }

// awaitFrame waits until a receive that does not wait finds a frame, and returns
// the End that has it: e, or another End of the group, which would otherwise have
// to be woken for it. Its errors are those of a Recv that waits. The caller soon
// calls it again, or else [End.release].
func (e *End) awaitFrame() (*End, error) {
	e.rx.waitMu.Lock()
	defer e.rx.waitMu.Unlock()
	for {
		e.rx.mu.Lock()
		err, streams := e.rx.look(true), e.rx.exchange.streams
		e.rx.mu.Unlock()
		if streams {
			e.release() // others should not wait for each batch
		} else if x := e.takeTurns(); x != nil {
			return x, nil
		}
		if err != link.ErrEmpty {
			return e, err
		}
		if x, err := e.await(); err != nil || x != e {
			return x, err
		}
	}
}

// takeTurns returns every other time an End that e polls for and that has frames,
// whether e has any or not. rx.waitMu is held.
func (e *End) takeTurns() *End {
	m := &e.member
	if m.group == nil {
		return nil
	}
	if m.othersFirst = !m.othersFirst; m.othersFirst {
		return m.group.poll(e)
	}
	return nil
}
