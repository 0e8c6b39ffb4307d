// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/link"
)

// An answerer answers each batch with a frame, if there is room.
type answerer struct {
	end    *End
	frames *slab
	ended  chan error
	over   atomic.Bool // Ended was called
	after  atomic.Bool // Ready was called after that
}

func newAnswerer(e *End) *answerer {
	return &answerer{end: e, frames: newSlab(1514), ended: make(chan error, 1)}
}

// Ready implements [link.Receiver].
func (a *answerer) Ready(release func()) bool {
	if a.over.Load() {
		a.after.Store(true)
	}
	n, _ := a.end.RecvPlaced(a.frames, maxBatch)
	tx := short
	tx.NoWait = true
	if _, _, err := a.end.Send(tx); err == link.ErrFull {
		release() // as a receiver that waits for room would
		release()
	}
	return n > 0
}

// Ended implements [link.Receiver].
func (a *answerer) Ended(err error) {
	a.over.Store(true)
	a.ended <- err
}

// served returns an End of g that is being served by an answerer, and the other
// side. wg waits for the end.
func served(t *testing.T, g *Group, wg *sync.WaitGroup) (peer, e *End) {
	peer, e = joined(t, g, 1514)
	a := newAnswerer(e)
	go e.Serve(a)
	wg.Go(func() {
		<-a.ended
		if a.after.Load() {
			t.Error("the receiver was called after its end")
		}
	})
	return peer, e
}

// ask sends so many questions and waits for the answer to each.
func ask(t *testing.T, e *End, questions int) {
	s := newSlab(1514)
	for i := range questions {
		if _, _, err := e.Send(short); err != nil {
			t.Errorf("question %d: %v", i, err)
			return
		}
		if err := e.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
			return
		}
		if _, err := e.Recv(s.rx(1)); err != nil {
			t.Errorf("answer %d: %v", i, err)
			return
		}
	}
}

// TestGroupInvariant has some peers ask at the same time and be answered by the
// members of a group, while the group's invariant is checked.
func TestGroupInvariant(t *testing.T) {
	mayPoll(t)
	const members, questions = 3, 3000
	var g Group
	var asking, serving sync.WaitGroup
	var peers, ends []*End
	for range members {
		peer, e := served(t, &g, &serving)
		peer.SameProcess() // leaves the polls to the group
		peers, ends = append(peers, peer), append(ends, e)
	}
	stop := watchGroup(t, &g, ends...)
	for _, peer := range peers {
		asking.Go(func() {
			for range 10 {
				backoff.until.Store(0) // the machine may be busy
				ask(t, peer, questions/10)
			}
		})
	}
	asking.Wait()
	for _, e := range ends {
		e.Close()
	}
	serving.Wait()
	stop()
	checkGroup(t, &g, ends...)
	if g.leader.Load() != nil || len(g.asleep) != 0 {
		t.Error("the group still polls")
	}
}

// TestScribblerInGroup has a peer write to the memory that it shares, so that it
// seems to have frames all the time or receives that sleep are not to be woken, while
// another one asks and is answered: by whichever of their two receives polls. It
// gets all its answers.
func TestScribblerInGroup(t *testing.T) {
	mayPoll(t)
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rounds := 25
	if testing.Short() {
		rounds = 8
	}
	for i := range rounds {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		var g Group
		var wg, lying sync.WaitGroup
		honest, toHonest := served(t, &g, &wg)
		honest.SameProcess() // leaves the polls to the others
		liar, toLiar := served(t, &g, &wg)
		backoff.until.Store(0)
		stop := watchGroup(t, &g, toHonest, toLiar)
		over := make(chan struct{})
		lying.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					lie(liar, rnd)
					runtime.Gosched()
				}
			}
		})
		ask(t, honest, 200)
		close(over)
		lying.Wait()
		stop()
		toHonest.Close()
		toLiar.Close()
		wg.Wait()
		honest.Close()
		liar.Close()
		if t.Failed() {
			return
		}
	}
}

// lie has a peer do something at random, most of it against the rules.
func lie(e *End, rnd *rand.Rand) {
	switch rnd.IntN(4) {
	case 0: // so many frames without a byte
		head := e.tx.ring.ring.head.Load()
		e.tx.ring.tail.Store(head + uint64(rnd.IntN(2*maxBatch))*slotHeader)
	case 1:
		e.tx.ring.frameWakeup.Store(uint32(rnd.IntN(2)))
	case 2:
		ringDoorbell(e.tx.peerDoorbell)
	case 3:
		tx := short
		tx.NoWait = true
		_, _, _ = e.Send(tx)
	}
	if rnd.IntN(100) == 0 {
		word64(e.region, upAt+rnd.IntN(4*line)&^7).Store(rnd.Uint64())
	}
}

// A funcReceiver is a receiver made of a function.
type funcReceiver struct {
	ready func(release func()) bool
	ended chan error
}

func (r funcReceiver) Ready(release func()) bool { return r.ready(release) }
func (r funcReceiver) Ended(err error)           { r.ended <- err }

// end closes e, which the receiver serves, and checks how that ends.
func (r funcReceiver) end(t *testing.T, e *End) {
	t.Helper()
	e.Close()
	if err := <-r.ended; err != net.ErrClosed {
		t.Errorf("ended with %v", err)
	}
	e.member.mu.Lock()
	if e.callReady(nil) {
		t.Error("was called after its end")
	}
}

// TestServeHandOver has the leader call the receiver of another End, which blocks: the
// leader's own frames are received meanwhile.
func TestServeHandOver(t *testing.T) {
	var g Group
	leaderPeer, leader := joined(t, &g, 64)
	peer, e := joined(t, &g, 64)
	slowCalled, quickCalled, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	slow := funcReceiver{func(release func()) bool {
		n, _ := e.RecvPlaced(newSlab(64), maxBatch)
		release()
		slowCalled <- struct{}{}
		<-goOn
		return n > 0
	}, make(chan error, 1)}
	quick := funcReceiver{func(func()) bool {
		n, _ := leader.RecvPlaced(newSlab(64), maxBatch)
		quickCalled <- struct{}{}
		return n > 0
	}, make(chan error, 1)}

	e.rx.exchange.answered, e.poller.skip = true, 9 // sleep at once
	go e.Serve(slow)
	awaitSleep(&g, e)
	g.lead(leader)
	g.poll(leader)
	send(t, peer, 64)
	go leader.Serve(quick)
	<-slowCalled
	checkGroup(t, &g, leader, e)
	send(t, leaderPeer, 64)
	<-quickCalled
	close(goOn)
	slow.end(t, e)
	quick.end(t, leader)
}

// TestServeReleases has the leader find a frame of another End whose receiver another
// goroutine is calling, or whose receiver does not take it. The leader releases the
// End before it receives its own frames, so that the End's own receive is woken.
func TestServeReleases(t *testing.T) {
	for _, busy := range []bool{true, false} {
		var g Group
		leaderPeer, leader := joined(t, &g, 64)
		peer, e := joined(t, &g, 64)
		e.member.receiver = funcReceiver{func(func()) bool { return false }, nil}
		woken := sleepIn(t, &g, e)
		g.lead(leader)
		g.poll(leader)
		if busy {
			e.member.mu.Lock()
		}
		send(t, peer, 64)
		send(t, leaderPeer, 64)
		goOn := make(chan struct{})
		r := funcReceiver{func(func()) bool {
			<-goOn
			n, _ := leader.RecvPlaced(newSlab(64), maxBatch)
			return n > 0
		}, make(chan error, 1)}
		go leader.Serve(r)
		if w := <-woken; w.end != e || w.err != nil {
			t.Errorf("woken with %v, %v", w.end, w.err)
		}
		close(goOn)
		r.end(t, leader)
	}
}
