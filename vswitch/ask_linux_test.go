// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAskedBefore: whoever asks comes behind those that were accepted earlier and
// have asked, whether or not that has been read, and behind nobody else.
func TestAskedBefore(t *testing.T) {
	l := new(Listener)
	var conns []*pendingConn
	for i := range 6 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var ends [2]net.Conn
		for j, fd := range fds {
			f := os.NewFile(uintptr(fd), "control")
			if ends[j], err = net.FileConn(f); err != nil {
				t.Fatal(err)
			}
			f.Close()
			defer ends[j].Close()
		}
		if i != 1 { // who says nothing
			if _, err := ends[0].Write([]byte("request")); err != nil {
				t.Fatal(err)
			}
		}
		p := &pendingConn{conn: ends[1].(*net.UnixConn), seq: uint64(i), answered: make(chan struct{})}
		conns = append(conns, p)
		l.pending = append(l.pending, p)
	}
	before := func(i int) (seqs []uint64) {
		for _, p := range l.ask(conns[i]) {
			seqs = append(seqs, p.seq)
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
	l.forget(conns[0])
	conns[3].conn.Close()
	if got := before(5); !slices.Equal(got, []uint64{2, 4}) {
		t.Errorf("before 5, with 0 and 3 gone: %v", got)
	}
	l.answered(conns[2])
	l.answered(conns[4])
	l.answered(conns[5])
	if len(l.asking) != 0 || len(l.pending) != 2 {
		t.Errorf("%d have asked, %d have not", len(l.asking), len(l.pending))
	}
}
