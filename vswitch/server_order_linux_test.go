// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A pendingTest is places without a listener.
type pendingTest struct {
	*pendingConns
	t       *testing.T
	clients map[*pendingConn]int // the other ends
	evicted []uint64
	gone    []uint64
	started []uint64
}

func newPendingTest(t *testing.T, limit int) *pendingTest {
	pt := &pendingTest{t: t, clients: make(map[*pendingConn]int)}
	pt.pendingConns = &pendingConns{
		limit: limit, byFD: make(map[int]*pendingConn), users: make(map[uint32]*pendingUser),
		watch:    func(int, bool) error { return nil },
		setAlarm: func(time.Time) {},
		start:    func(p *pendingConn) { pt.started = append(pt.started, p.seq) },
	}
	pt.closed = func(p *pendingConn, err error) {
		if err == errEvicted {
			pt.evicted = append(pt.evicted, p.seq)
		} else {
			pt.gone = append(pt.gone, p.seq)
		}
	}
	t.Cleanup(func() {
		pt.end()
		for _, fd := range pt.clients {
			unix.Close(fd)
		}
	})
	return pt
}

// connect adds a connection of a user, with a request if ask is set.
func (pt *pendingTest) connect(uid uint32, ask bool) *pendingConn {
	pt.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		pt.t.Fatal(err)
	}
	if ask {
		pt.write(fds[0])
	}
	p := &pendingConn{fd: fds[1], peer: unix.Ucred{Uid: uid, Pid: int32(os.Getpid())}, deadline: time.Now().Add(time.Minute)}
	pt.clients[p] = fds[0]
	if err := pt.add(p); err != nil {
		pt.t.Fatal(err)
	}
	return p
}

func (pt *pendingTest) write(fd int) {
	pt.t.Helper()
	if _, err := unix.Write(fd, []byte("request")); err != nil {
		pt.t.Fatal(err)
	}
}

// finish is what the goroutine of p does at its end.
func (pt *pendingTest) finish(p *pendingConn) {
	unix.Close(p.fd)
	pt.done(p)
}

// TestRequestOrder checks that a refusal waits for the requests of connections of
// the same process that were accepted earlier, whether or not they have been read,
// and for no others.
func TestRequestOrder(t *testing.T) {
	pt := newPendingTest(t, 20)
	var conns []*pendingConn
	for i := range 6 {
		p := pt.connect(0, i != 1) // 1 says nothing
		conns = append(conns, p)
	}
	stranger := pt.connect(7, true)
	last := pt.connect(0, true)
	pt.came(stranger.fd)
	before := func(p *pendingConn) (n int) { return len(pt.before(p)) }
	for _, i := range []int{0, 2, 3, 4, 5} {
		pt.came(conns[i].fd)
	}
	pt.came(last.fd)
	if got := before(conns[4]); got != 3 {
		t.Errorf("%d before 4, want 0, 2 and 3", got)
	}
	if got := before(conns[2]); got != 1 {
		t.Errorf("%d before 2, want 0", got)
	}
	if got := before(last); got != 5 {
		t.Errorf("%d before the last, want all but the silent one and the stranger's", got)
	}
	answers := pt.before(conns[5])
	if len(answers) != 4 {
		t.Fatalf("%d before 5, want 4", len(answers))
	}
	for _, i := range []int{0, 2, 3} {
		pt.finish(conns[i])
	}
	// What came was not all: that is dealt with, too.
	if err := pt.incomplete(conns[4]); err != nil {
		t.Fatal(err)
	}
	awaitAnswers(answers, time.Hour, nil)
	if got := before(conns[5]); got != 0 {
		t.Errorf("%d before 5, with all of them gone or silent", got)
	}
}

// TestEviction checks which connection loses its place.
func TestEviction(t *testing.T) {
	t.Run("the oldest silent one", func(t *testing.T) {
		pt := newPendingTest(t, 4)
		for _, ask := range []bool{true, false, false, true, true, false} {
			pt.connect(0, ask)
		}
		if want := []uint64{2, 3}; !slices.Equal(pt.evicted, want) {
			t.Errorf("evicted %v, want %v", pt.evicted, want)
		}
	})
	t.Run("of the user with most", func(t *testing.T) {
		pt := newPendingTest(t, 8)
		pt.connect(1, false)
		for range 20 {
			pt.connect(2, false)
		}
		pt.connect(3, false)
		pt.connect(1, false)
		if len(pt.evicted) != 15 {
			t.Fatalf("evicted %d, want 15", len(pt.evicted))
		}
		for i, seq := range pt.evicted {
			if seq != uint64(i+2) {
				t.Errorf("evicted %v, want those of user 2 from the oldest", pt.evicted)
				break
			}
		}
	})
	t.Run("whose client has gone", func(t *testing.T) {
		pt := newPendingTest(t, 4)
		pt.connect(0, false)
		p := pt.connect(0, false)
		pt.connect(0, false)
		unix.Close(pt.clients[p])
		delete(pt.clients, p)
		pt.connect(0, false)
		pt.connect(0, false)
		if len(pt.evicted) != 0 || !slices.Equal(pt.gone, []uint64{p.seq}) {
			t.Errorf("evicted %v, gone %v, want only the one that has gone", pt.evicted, pt.gone)
		}
	})
}

// TestEvictionAfterBytes evicts connections that have sent something.
func TestEvictionAfterBytes(t *testing.T) {
	t.Run("part of a request does not make it younger", func(t *testing.T) {
		pt := newPendingTest(t, 3)
		p := pt.connect(0, true)
		pt.came(p.fd)
		pt.connect(0, false)
		pt.connect(0, false)
		var b [64]byte
		if _, err := unix.Read(p.fd, b[:]); err != nil {
			t.Fatal(err)
		}
		if err := pt.incomplete(p); err != nil {
			t.Fatal(err)
		}
		pt.connect(0, false)
		if want := []uint64{p.seq}; !slices.Equal(pt.evicted, want) {
			t.Errorf("evicted %v, want %v", pt.evicted, want)
		}
	})
	t.Run("whose turn has not come, of the user with most", func(t *testing.T) {
		pt := newPendingTest(t, 8)
		for range 8 {
			p := pt.connect(1, true)
			pt.came(p.fd)
		}
		p := pt.connect(2, true)
		pt.came(p.fd)
		if want := []uint64{1, 2, 3, 4, 9}; !slices.Equal(pt.started, want) {
			t.Errorf("started %v, want %v: half of the places for one user", pt.started, want)
		}
		if want := []uint64{8}; !slices.Equal(pt.evicted, want) {
			t.Errorf("evicted %v, want %v", pt.evicted, want)
		}
	})
}

// TestTurns checks that the requests of one user that take long to answer leave
// places for those of others, and that all get their turn.
func TestTurns(t *testing.T) {
	const limit = 64
	pt := newPendingTest(t, limit)
	active := make(map[uint32][]*pendingConn)
	for uid := range uint32(7) {
		for range 40 {
			p := pt.connect(uid, true)
			pt.came(p.fd)
			if p.state == pendingActive {
				active[uid] = append(active[uid], p)
			}
		}
		if len(active[uid]) == 0 {
			t.Errorf("user %d gets no turn beside %d others", uid, uid)
		}
	}
	if n := len(active[0]); n != limit/2 {
		t.Errorf("the first user has %d of %d", n, limit)
	}
	for _, list := range active {
		for _, p := range list {
			pt.finish(p)
		}
	}
	for pt.pendingConns.active > 0 {
		for e := pt.all.Front(); e != nil; {
			p := e.Value.(*pendingConn)
			e = e.Next()
			if p.state == pendingActive {
				pt.finish(p)
			}
		}
	}
	if n := pt.all.Len(); n != 0 || len(pt.users) != 0 {
		t.Errorf("%d connections of %d users never got their turn", n, len(pt.users))
	}
}

// TestExpiry checks that connections whose request does not come are closed in
// time, and that the time of the next is set.
func TestExpiry(t *testing.T) {
	pt := newPendingTest(t, 10)
	var alarm time.Time
	pt.setAlarm = func(t time.Time) { alarm = t }
	start := time.Now()
	var conns []*pendingConn
	for i := range 4 {
		p := pt.connect(0, i == 1)
		conns = append(conns, p)
	}
	for i, p := range conns {
		p.deadline = start.Add(time.Duration(i) * time.Hour)
	}
	pt.came(conns[1].fd)
	silent := pt.expire(start.Add(150 * time.Minute))
	if len(silent) != 2 || silent[0] != conns[0] || silent[1] != conns[2] {
		t.Errorf("%d expired, want the first and the third", len(silent))
	}
	if !alarm.Equal(conns[3].deadline) {
		t.Errorf("the next alarm is at %v, want %v", alarm, conns[3].deadline)
	}
	// The second was being read all the time, and is late.
	var b [64]byte
	if _, err := unix.Read(conns[1].fd, b[:]); err != nil {
		t.Fatal(err)
	}
	if err := pt.incomplete(conns[1]); err != nil || !alarm.Equal(conns[1].deadline) {
		t.Errorf("the next alarm is at %v, want %v: %v", alarm, conns[1].deadline, err)
	}
	if silent := pt.expire(start.Add(150 * time.Minute)); len(silent) != 1 || silent[0] != conns[1] {
		t.Errorf("%d expired, want the second", len(silent))
	}
}
