// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
)

// CablePair returns the connections at the two ends of a cable that was never
// negotiated; each end is told whether the other agreed to offload headers.
// hangup ends both.
func CablePair(agreed [2]bool, opts ...Option) (conns [2]*Conn, hangup func(), err error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return conns, nil, err
	}
	data, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return conns, nil, err
	}
	var far [2]*os.File
	for i := range conns {
		ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return conns, nil, err
		}
		far[i] = os.NewFile(uintptr(ctl[1]), "control")
		s, err := sockio.New(data[i], "data")
		if err != nil {
			return conns, nil, err
		}
		l := &socketLink{frameSocket: s, ctl: os.NewFile(uintptr(ctl[0]), "control"), offload: agreed[i]}
		c := newConn(context.Background(), l, "cable", &cfg)
		c.running.Go(func() { l.watch(c.end) })
		conns[i] = c
	}
	return conns, func() { far[0].Close(); far[1].Close() }, nil
}

// JoinTimeout is what bounds Open when ctx has no deadline.
func JoinTimeout() time.Duration { return joinTimeout }

// SetJoinTimeout changes it until the returned function is called.
func SetJoinTimeout(d time.Duration) (restore func()) {
	old := joinTimeout
	joinTimeout = d
	return func() { joinTimeout = old }
}

// SetDataFileHook has f called after every change of a data socket's file,
// until the returned function is called.
func SetDataFileHook(f func(path string)) (restore func()) {
	testHookDataFile = f
	return func() { testHookDataFile = nil }
}

// SetProbeDelay changes how long a switch may be silent before it is asked
// whether that is its answer, until the returned function is called.
func SetProbeDelay(d time.Duration) (restore func()) {
	old := probeDelay
	probeDelay = d
	return func() { probeDelay = old }
}

// Undo returns what a connection without offload headers gets of a datagram with
// one into buffers of room bytes, and the lengths it is told.
func Undo(datagram []byte, room int) (frames [][]byte, sizes []int) {
	u := new(undoer)
	u.space[0], u.sizes[0], u.n = datagram, len(datagram), 1
	for u.pending() > 0 {
		buf := make([]byte, room)
		size := u.give(buf)
		frames, sizes = append(frames, buf[:min(size, room)]), append(sizes, size)
	}
	return frames, sizes
}
