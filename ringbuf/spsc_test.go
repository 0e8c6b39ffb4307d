// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ringbuf_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/go-vde/sdk/ringbuf"
)

func TestNewSPSC(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 1000: 1024, 1024: 1024, 1025: 2048} {
		q := ringbuf.NewSPSC[byte](n)
		if q.Cap() != want || q.Len() != 0 {
			t.Errorf("NewSPSC(%d): capacity %d, length %d; want %d, 0", n, q.Cap(), q.Len(), want)
		}
	}
	for _, n := range []int{0, -1, math.MinInt, math.MaxInt, math.MaxInt/2 + 2} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewSPSC(%d) did not panic", n)
				}
			}()
			ringbuf.NewSPSC[struct{}](n)
		}()
	}
}

func TestZero(t *testing.T) {
	var q ringbuf.SPSC[int]
	if q.Cap() != 0 || q.Len() != 0 || q.Push(1) != 0 || q.Pop(make([]int, 1)) != 0 {
		t.Error("the zero SPSC took or gave an element")
	}
}

func TestPushPop(t *testing.T) {
	q := ringbuf.NewSPSC[int](4)
	dst := make([]int, 8)
	if n := q.Pop(dst); n != 0 {
		t.Errorf("Pop from empty = %d", n)
	}
	if n := q.Push(); n != 0 {
		t.Errorf("Push of nothing = %d", n)
	}
	if n := q.Push(1, 2, 3); n != 3 || q.Len() != 3 {
		t.Errorf("Push = %d, length %d; want 3, 3", n, q.Len())
	}
	if n := q.Push(4, 5, 6); n != 1 || q.Len() != 4 {
		t.Errorf("Push into one slot = %d, length %d; want 1, 4", n, q.Len())
	}
	if n := q.Push(5); n != 0 {
		t.Errorf("Push into full = %d", n)
	}
	if n := q.Pop(nil); n != 0 {
		t.Errorf("Pop into nothing = %d", n)
	}
	if n := q.Pop(dst[:3]); n != 3 || !slices.Equal(dst[:4], []int{1, 2, 3, 0}) {
		t.Errorf("Pop = %d, %v", n, dst)
	}
	if n := q.Push(5, 6, 7, 8); n != 3 {
		t.Errorf("Push around the end = %d, want 3", n)
	}
	if n := q.Pop(dst); n != 4 || !slices.Equal(dst[:5], []int{4, 5, 6, 7, 0}) {
		t.Errorf("Pop around the end = %d, %v", n, dst)
	}
	if q.Len() != 0 {
		t.Errorf("length %d after the last Pop", q.Len())
	}
}

// TestClear checks that the queue does not keep alive what was popped.
func TestClear(t *testing.T) {
	q := ringbuf.NewSPSC[*int](8)
	dst := make([]*int, 8)
	for range 5 { // five steps of five, so that some go around the end
		q.Push(new(int), new(int), new(int), new(int), new(int))
		if n := q.Pop(dst[:2]) + q.Pop(dst); n != 5 {
			t.Fatalf("popped %d, want 5", n)
		}
		for i, p := range ringbuf.Slots(q) {
			if p != nil {
				t.Errorf("slot %d still holds an element", i)
			}
		}
	}
}

// check runs a script against an SPSC and a plain slice. Each byte of the
// script is one call: the high bit chooses Push or Pop, the rest the size.
func check(t *testing.T, capacity int, start uint64, script []byte) {
	t.Helper()
	q := ringbuf.NewSPSC[uint32](capacity)
	ringbuf.Start(q, start)
	var (
		model []uint32
		next  uint32 = 1 // never zero, so a cleared slot is told from an element
		buf   [128]uint32
	)
	for step, op := range script {
		arg := buf[:op&0x7f]
		if op&0x80 == 0 {
			for i := range arg {
				arg[i] = next + uint32(i)
			}
			want := min(len(arg), q.Cap()-len(model))
			model = append(model, arg[:want]...)
			if n := q.Push(arg...); n != want {
				t.Fatalf("step %d: Push of %d = %d, want %d", step, len(arg), n, want)
			}
			next += uint32(want)
		} else {
			clear(arg)
			want := min(len(arg), len(model))
			if n := q.Pop(arg); n != want {
				t.Fatalf("step %d: Pop of %d = %d, want %d", step, len(arg), n, want)
			}
			if !slices.Equal(arg[:want], model[:want]) {
				t.Fatalf("step %d: popped %v, want %v", step, arg[:want], model[:want])
			}
			if slices.ContainsFunc(arg[want:], func(v uint32) bool { return v != 0 }) {
				t.Fatalf("step %d: Pop wrote behind what it returned", step)
			}
			model = model[want:]
		}
		if q.Len() != len(model) {
			t.Fatalf("step %d: length %d, want %d", step, q.Len(), len(model))
		}
		held := 0
		for _, v := range ringbuf.Slots(q) {
			if v != 0 {
				held++
			}
		}
		if held != len(model) {
			t.Fatalf("step %d: %d slots in use for %d elements", step, held, len(model))
		}
	}
}

func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	script := make([]byte, 300)
	for range 200 {
		most := 1 + rng.IntN(128) // small steps and large ones
		for i := range script {
			script[i] = byte(rng.IntN(2)<<7 | rng.IntN(most))
		}
		capacity := 1 + rng.IntN(100)
		check(t, capacity, rng.Uint64(), script)
		check(t, capacity, -rng.Uint64N(1000), script) // the indices wrap around
	}
}

func FuzzModel(f *testing.F) {
	f.Add(uint8(1), uint64(0), []byte{1, 0x81, 2, 0x82})
	f.Add(uint8(4), uint64(0), []byte{3, 3, 0x83, 4, 0xff})
	f.Add(uint8(7), ^uint64(4), []byte{8, 0x83, 5, 0x84, 1, 0x80, 0, 0x88, 0x88})
	f.Add(uint8(64), uint64(math.MaxUint64), []byte{64, 0xa0, 32, 0xff, 0x7f, 0xff})
	f.Fuzz(func(t *testing.T, capacity uint8, start uint64, script []byte) {
		check(t, int(capacity)+1, start, script)
	})
}

func TestAllocs(t *testing.T) {
	q := ringbuf.NewSPSC[*int](64)
	v := new(int)
	vs := make([]*int, 32)
	dst := make([]*int, 32)
	if n := testing.AllocsPerRun(100, func() {
		q.Push(v)
		q.Push(v, v)
		q.Push(vs...)
		q.Len()
		q.Pop(dst)
		q.Pop(dst)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestLayout checks that the two sides, and what surrounds an SPSC in memory,
// do not share cache lines, of 64 bytes fetched in pairs.
func TestLayout(t *testing.T) {
	typ := reflect.TypeFor[ringbuf.SPSC[int]]()
	offset := func(name string) uintptr {
		f, ok := typ.FieldByName(name)
		if !ok {
			t.Fatalf("no field %s", name)
		}
		return f.Offset
	}
	for _, c := range [][2]string{{"slots", "tail"}, {"headSeen", "head"}} {
		if d := offset(c[1]) - offset(c[0]); d < 128 {
			t.Errorf("%s and %s are %d bytes apart, want 128", c[0], c[1], d)
		}
	}
	if d := typ.Size() - offset("tailSeen"); d < 128 {
		t.Errorf("%d bytes from tailSeen to the end, want 128", d)
	}
}
