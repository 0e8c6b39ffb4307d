// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// Many goroutines on one connection, each frame counted once.
func TestStatsOfManyGoroutines(t *testing.T) {
	testutil.NoLeaks(t)
	a, b, _ := connPair(t)
	const writers, readers, each = 6, 4, 300
	var wg sync.WaitGroup
	var full atomic.Int64
	for w := range writers {
		wg.Go(func() { full.Add(int64(writeInTurns(t, a, w, each))) })
	}
	got := make(chan int, writers*each)
	var reading sync.WaitGroup
	for r := range readers {
		reading.Go(func() { readUntilClosed(t, b, r%2 == 0, got) })
	}
	for total := 0; total < writers*each && !t.Failed(); {
		total += conntest.Await(t, "frames", got)
	}
	wg.Wait()
	b.Close()
	reading.Wait()
	const frames = writers * each
	if s := a.Stats(); s.TxFrames != frames || s.TxBytes != 60*frames || s.TxFull != uint64(full.Load()) || s.TxCalls > frames || s.TxInvalid+s.TxNoBuffer+s.TxRefused != 0 {
		t.Errorf("sent %d (and %d times found no room), counted %+v", frames, full.Load(), s)
	}
	if s := b.Stats(); s.RxFrames != frames || s.RxBytes != 60*frames || s.RxCalls > frames || s.RxRunts+s.RxTruncated+s.RxEmpty+s.RxForeign+s.RxDiscarded != 0 {
		t.Errorf("received %d, counted %+v", frames, s)
	}
}

// writeInTurns writes count frames, by each write method in turn, and returns how
// many frames TryWriteBatch found no room for.
func writeInTurns(t *testing.T, c *vde.Conn, w, count int) (full int) {
	f := conntest.Frame(60, w)
	for i := 0; i < count; {
		var n int
		var err error
		switch (w + i) % 4 {
		case 0:
			_, err = c.Write(f)
			n = 1
		case 1:
			n, err = c.WriteBatch([][]byte{f, f, f}[:min(3, count-i)])
		case 2:
			n, err = c.WriteBuffers([]net.Buffers{{f[:20], f[20:]}})
		case 3:
			n, err = c.TryWriteBatch([][]byte{f})
			if errors.Is(err, vde.ErrFull) {
				full += 1 - n
				_, err = c.Write(f)
				n++
			}
		}
		if err != nil {
			t.Error(err)
			return full
		}
		i += n
	}
	return full
}

// readUntilClosed reads, one frame at a time or in batches, until Close, and sends
// the number of frames of each call on got.
func readUntilClosed(t *testing.T, c *vde.Conn, single bool, got chan<- int) {
	bufs := make([][]byte, 8)
	slab := make([]byte, 8*100)
	for {
		n := 1
		var err error
		if single {
			_, err = c.Read(slab)
		} else {
			for i := range bufs {
				bufs[i] = slab[i*100:][:100]
			}
			n, err = c.ReadBatch(bufs)
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		got <- n
		c.Stats()
	}
}

// No method allocates per frame.
func TestNoAllocations(t *testing.T) {
	if raceEnabled || pool.LeakMode {
		t.Log("the race detector and leak mode allocate themselves: see the run without them")
		return
	}
	a, b, _ := connPair(t)
	frames := make([][]byte, allocBatch)
	for i := range frames {
		frames[i] = conntest.Frame(100, i)
	}
	testNoAllocationsOneByOne(t, a, b, frames)
	testNoAllocationsInBatches(t, a, b, frames)
}

// allocBatch is the number of frames of each check of TestNoAllocations.
const allocBatch = 32

func testNoAllocationsOneByOne(t *testing.T, a, b *vde.Conn, frames [][]byte) {
	buf := make([]byte, 9234)
	read := func() {
		for range frames {
			n, err := b.Read(buf)
			mustMove(t, 100, n, err)
		}
	}
	checkNoAllocations(t, "Write and Read", func() {
		for _, f := range frames {
			n, err := a.Write(f)
			mustMove(t, 100, n, err)
		}
		read()
	})
	checkNoAllocations(t, "WriteTo and Read", func() {
		for _, f := range frames {
			n, err := a.WriteTo(f, nil)
			mustMove(t, 100, n, err)
		}
		read()
	})
}

func testNoAllocationsInBatches(t *testing.T, a, b *vde.Conn, frames [][]byte) {
	pieces := make([]net.Buffers, len(frames))
	for i, f := range frames {
		pieces[i] = net.Buffers{f[:14], f[14:50], f[50:]}
	}
	slab := make([]byte, allocBatch*9234)
	bufs := make([][]byte, allocBatch)
	readBatch := func() {
		for got := 0; got < allocBatch; {
			for i := range bufs {
				bufs[i] = slab[i*9234:][:9234]
			}
			n, err := b.ReadBatch(bufs[got:])
			mustMove(t, n, n, err)
			got += n
		}
	}
	writeBatch := func() { n, err := a.WriteBatch(frames); mustMove(t, allocBatch, n, err) }
	checkNoAllocations(t, "WriteBatch and ReadBatch", func() { writeBatch(); readBatch() })
	checkNoAllocations(t, "TryWriteBatch and ReadBatch", func() {
		n, err := a.TryWriteBatch(frames)
		mustMove(t, allocBatch, n, err)
		readBatch()
	})
	checkNoAllocations(t, "WriteBuffers and ReadBatch", func() {
		n, err := a.WriteBuffers(pieces)
		mustMove(t, allocBatch, n, err)
		readBatch()
	})
	ch := b.Frames()
	checkNoAllocations(t, "WriteBatch and Frames", func() {
		writeBatch()
		for range allocBatch {
			f := <-ch
			f.Release()
		}
	})
}
