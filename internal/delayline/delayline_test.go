// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package delayline_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/internal/delayline"
	"github.com/go-vde/sdk/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A far is the end of a line: it notes which frames have arrived and when.
type far struct {
	line    *delayline.Line
	pool    *pool.Pool
	start   time.Time
	numbers []byte
	after   []time.Duration
	dropped []byte
	gate    chan struct{} // not nil: delivery waits until it is closed
}

// newFar returns the end of a line that runs, with frames of 100 bytes.
func newFar(t *testing.T, c delayline.Config) *far {
	f := &far{pool: pool.New(1000, 0), start: time.Now()}
	c.Deliver = func(frames []delayline.Frame) int {
		if f.gate != nil {
			<-f.gate
		}
		for _, g := range frames {
			f.numbers = append(f.numbers, g.Buffer.Bytes()[0])
			f.after = append(f.after, time.Since(f.start))
			g.Buffer.Release()
		}
		return len(frames)
	}
	c.Drop = func(frames []delayline.Frame) {
		for _, g := range frames {
			f.dropped = append(f.dropped, g.Buffer.Bytes()[0])
			g.Buffer.Release()
		}
	}
	if c.Queue == 0 {
		c.Queue = 1000
	}
	f.line = delayline.New(c)
	go f.line.Run()
	t.Cleanup(func() {
		f.line.Stop()
		synctest.Wait()
		if n := f.pool.Stats().Live; n != 0 {
			t.Errorf("%d buffers", n)
		}
	})
	return f
}

// enter has frames of the given size with the numbers from first on enter.
func (f *far) enter(size int, first byte, n int) (fates []delayline.Fate, ok bool) {
	frames := make([]delayline.Frame, n)
	for i := range frames {
		b := f.pool.Get()
		b.SetLen(size)
		b.Bytes()[0] = first + byte(i)
		frames[i].Buffer = b
	}
	fates = make([]delayline.Fate, n)
	if ok = f.line.Enter(frames, fates); !ok {
		for _, g := range frames {
			g.Buffer.Release()
		}
	}
	return fates, ok
}

func count(n int) (list []byte) {
	for i := range n {
		list = append(list, byte(i))
	}
	return list
}

// TestDrain: frames that are under way arrive at once and in the order in which they
// would have, and so do later ones, until the line retires.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, delayline.Config{Impairment: delayline.Impairment{Delay: time.Hour}})
		f.gate = make(chan struct{})
		f.enter(100, 1, 99)
		f.line.Set(delayline.Impairment{Queue: 1000, Delay: 10 * time.Hour, Reorder: 1, Rate: 1})
		f.enter(100, 0, 1) // overtakes, after 800 s
		if f.line.Backlog(1) != nil {
			t.Error("draining")
		}
		f.line.Drain()
		drained := f.line.Backlog(1)
		if _, ok := f.enter(100, 100, 20); !ok {
			t.Error("retired with frames under way")
		}
		close(f.gate)
		<-drained
		if !slices.Equal(f.numbers, count(120)) || f.after[119] != 0 {
			t.Errorf("%v after %v", f.numbers, f.after)
		}
		if _, ok := f.enter(100, 0, 1); ok || f.line.Set(delayline.Impairment{}) || f.line.Backlog(1) != nil {
			t.Error("a line that has retired takes frames")
		}
	})
}

// TestDrainEnds: a line that is impaired again while it drains, or stopped, does not
// retire, and who waits for it goes on.
func TestDrainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, delayline.Config{Impairment: delayline.Impairment{Delay: time.Hour}})
		f.enter(100, 0, 1)
		f.line.Drain()
		drained := f.line.Backlog(1)
		if !f.line.Set(delayline.Impairment{Delay: time.Second, Queue: 10}) {
			t.Error("retired")
		}
		<-drained
		f.enter(100, 1, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(f.after, []time.Duration{0, time.Second}) {
			t.Errorf("after %v", f.after)
		}
		f.enter(100, 2, 1)
		f.line.Stop()
		synctest.Wait()
		fates, ok := f.enter(100, 3, 1)
		if !ok || fates[0].Frame != delayline.Stopped || !slices.Equal(f.dropped, []byte{2}) {
			t.Errorf("%v, %v, dropped %v", fates, ok, f.dropped)
		}
	})
}

// TestExpedite: no frame arrives later than it would if all entered now, and none
// earlier than an earlier one; what was due before stays so.
func TestExpedite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, delayline.Config{Impairment: delayline.Impairment{Delay: time.Second}})
		f.enter(125, 0, 1)
		f.line.Set(delayline.Impairment{Delay: time.Hour, Queue: 1000})
		f.enter(125, 1, 3)
		f.line.Set(delayline.Impairment{Delay: 2 * time.Second, Jitter: time.Second, Rate: 1000, Queue: 1000})
		f.line.Expedite()
		f.enter(125, 4, 1) // would arrive before the others
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []time.Duration{1 * time.Second, 5 * time.Second, 6 * time.Second, 7 * time.Second}
		if !slices.Equal(f.numbers, count(5)) || !slices.Equal(f.after[:4], want) || f.after[4] < want[3] {
			t.Errorf("%v after %v", f.numbers, f.after)
		}
	})
}

// TestBacklog: there is a backlog while frames that should have left take all places, but
// not while they are under way.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(100, 0)
		proceed := make(chan struct{})
		l := delayline.New(delayline.Config{
			Impairment: delayline.Impairment{Delay: time.Second, Queue: 100},
			Deliver: func(frames []delayline.Frame) int {
				<-proceed
				for _, f := range frames {
					f.Buffer.Release()
				}
				return len(frames)
			},
		})
		go l.Run()
		defer l.Stop()
		enter := func(n int) {
			for range n {
				l.Enter([]delayline.Frame{{Buffer: p.Get()}}, nil)
			}
		}
		enter(100)
		if l.Backlog(1) != nil {
			t.Error("a backlog of frames that are under way")
		}
		time.Sleep(time.Second)
		synctest.Wait() // 64 have left
		if l.Backlog(64) != nil {
			t.Error("a backlog with room for 64")
		}
		enter(64)
		room := l.Backlog(1)
		proceed <- struct{}{}
		<-room
		if l.Backlog(36) != nil || l.Backlog(37) != nil {
			t.Error("a backlog of frames that are under way")
		}
		proceed <- struct{}{}
		time.Sleep(time.Second)
		proceed <- struct{}{}
		synctest.Wait()
		if s := l.Stats(); s.Delivered != 164 || p.Stats().Live != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPlaces: a frame takes as many places as it is times as long as the longest one.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, delayline.Config{Impairment: delayline.Impairment{Delay: time.Second, Queue: 10}, Longest: 100})
		fates, _ := f.enter(400, 0, 4) // 12 places
		full := delayline.Fate{Frame: delayline.Overflowed}
		if way := (delayline.Fate{Frame: delayline.UnderWay}); !slices.Equal(fates, []delayline.Fate{way, way, way, full}) {
			t.Errorf("%v", fates)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		fates, _ = f.enter(100, 0, 11)
		if n := len(slices.Collect(func(yield func(int) bool) {
			for i, fate := range fates {
				if fate.Frame == delayline.UnderWay && !yield(i) {
					return
				}
			}
		})); n != 10 {
			t.Errorf("%d frames under way, want 10", n)
		}
		if s := f.line.Stats(); s.Pending != 10 || s.Frames != s.Delivered+s.Overflowed+s.Pending {
			t.Errorf("%+v", s)
		}
	})
}

// TestCopies: of a frame that arrives twice, both are marked as having one buffer, and one
// as the copy.
func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(100, 0)
		var got []delayline.Frame
		l := delayline.New(delayline.Config{
			Impairment: delayline.Impairment{Duplicate: 1, Queue: 3},
			Deliver:    func(frames []delayline.Frame) int { got = append(got, frames...); return len(frames) },
		})
		go l.Run()
		defer l.Stop()
		var fates [2]delayline.Fate
		l.Enter([]delayline.Frame{{Buffer: p.Get(), Mark: true}, {Buffer: p.Get()}}, fates[:])
		synctest.Wait()
		if fates != [2]delayline.Fate{{Frame: delayline.UnderWay, Copy: delayline.UnderWay}, {Frame: delayline.Overflowed, Copy: delayline.UnderWay}} {
			t.Errorf("%v", fates)
		}
		copies := 0
		for i, f := range got {
			if f.Copy {
				copies++
			}
			if !f.Shared || f.Mark != (i < 2) {
				t.Errorf("frame %d: %+v", i, f)
			}
			f.Buffer.Release()
		}
		if len(got) != 3 || copies != 2 || p.Stats().Live != 0 {
			t.Errorf("%d frames, %d copies, %d buffers", len(got), copies, p.Stats().Live)
		}
	})
}

// TestAllocs: a frame that is delayed allocates nothing.
func TestAllocs(t *testing.T) {
	p := pool.New(100, 0)
	arrived := make(chan struct{}, 1)
	l := delayline.New(delayline.Config{
		Impairment: delayline.Impairment{Jitter: time.Nanosecond, Queue: 100},
		Deliver: func(frames []delayline.Frame) int {
			for _, f := range frames {
				f.Buffer.Release()
				arrived <- struct{}{}
			}
			return len(frames)
		},
	})
	go l.Run()
	defer l.Stop()
	var frames [1]delayline.Frame
	n := testing.AllocsPerRun(1000, func() {
		frames[0] = delayline.Frame{Buffer: p.Get()}
		l.Enter(frames[:], nil)
		<-arrived
	})
	if n > 0 && !pool.LeakMode {
		t.Errorf("%v allocations", n)
	}
}
