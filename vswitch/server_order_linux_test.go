// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
)

// TestRequestOrder checks that a request is answered behind those of connections
// that were accepted earlier, whether or not they have been read, and behind no
// others.
func TestRequestOrder(t *testing.T) {
	o := new(requestOrder)
	var conns []*pendingConn
	for i := range 6 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		var ends [2]*transport.Stream
		for j, fd := range fds {
			if ends[j], err = transport.NewStream(fd, "control"); err != nil {
				t.Fatal(err)
			}
			defer ends[j].Close()
		}
		if i != 1 { // which says nothing
			if err := ends[0].Write([]byte("request"), nil); err != nil {
				t.Fatal(err)
			}
		}
		p, _ := o.add(ends[1], 10)
		conns = append(conns, p)
	}
	before := func(i int) (seqs []uint64) {
		for _, p := range o.ask(conns[i]) {
			seqs = append(seqs, p.seq-1)
		}
		slices.Sort(seqs)
		return seqs
	}
	if got := before(4); !slices.Equal(got, []uint64{0, 2, 3}) {
		t.Errorf("before 4: %v", got)
	}
	if got := before(2); !slices.Equal(got, []uint64{0}) {
		t.Errorf("before 2, with 4 having asked: %v", got)
	}
	o.forget(conns[0])
	conns[3].stream.Close()
	if got := before(5); !slices.Equal(got, []uint64{2, 4}) {
		t.Errorf("before 5, with 0 and 3 gone: %v", got)
	}
	o.answered(conns[2])
	o.answered(conns[4])
	o.answered(conns[5])
	if len(o.asking) != 0 || len(o.pending) != 2 {
		t.Errorf("%d have asked, %d have not", len(o.asking), len(o.pending))
	}
}
