// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// A spoiler is a client with shared memory that wants to make the switch wait.
type spoiler struct {
	ctl    *net.UnixConn
	region []byte
	bells  []int // what it gave to the switch to ring: for frames, for room
	close  func()
}

// newSpoiler joins the switch at dir with an offer of rings, which is taken.
func newSpoiler(t *testing.T, dir string) *spoiler {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o, err := shm.NewOffer(shm.FeatureRings, frame.DefaultMaxSize)
	fatal(err)
	s := &spoiler{bells: o.Descriptors()[1:]}
	s.region, err = unix.Mmap(o.Descriptors()[0], 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	fatal(err)
	path := filepath.Join(testutil.ShortDir(t), "data")
	data, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	fatal(err)
	s.ctl, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: dir + "/ctl", Net: "unix"})
	fatal(err)
	request, err := wire.AppendRequest(nil, wire.Request{Path: path, Description: "spoiler"})
	fatal(err)
	_, _, err = s.ctl.WriteMsgUnix(request, unix.UnixRights(o.Descriptors()...), nil)
	fatal(err)
	b, oob := make([]byte, wire.ReplyLen), make([]byte, transport.RightsLen)
	_, oobn, _, _, err := s.ctl.ReadMsgUnix(b, oob)
	fatal(err)
	fds := transport.AppendDescriptors(nil, oob[:oobn])
	if len(fds) != 2 {
		t.Fatalf("%d descriptors came with the reply", len(fds))
	}
	s.close = func() {
		s.ctl.Close()
		data.Close()
		transport.CloseDescriptors(fds)
		unix.Munmap(s.region)
		o.Close()
	}
	return s
}

// spoil makes its doorbells descriptors that cannot be written to without waiting,
// and says that it needs to be woken.
func (s *spoiler) spoil() (undo func()) {
	const downFrameWakeup = 2048 + 2*128
	full := binary.NativeEndian.AppendUint64(nil, 1<<64-2)
	for _, fd := range s.bells {
		unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_NONBLOCK)
		for { // once if it is an eventfd
			if _, err := unix.Write(fd, full); err != nil {
				break
			}
		}
		unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0)
	}
	(*atomic.Uint32)(unsafe.Pointer(&s.region[downFrameWakeup])).Store(1)
	return func() {
		for _, fd := range s.bells {
			unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_NONBLOCK)
			for {
				if _, err := unix.Read(fd, make([]byte, 8)); err != nil {
					break
				}
			}
		}
	}
}

// TestSpoiledDoorbells has a client make its doorbells full and blocking: others
// send, look, disconnect it and close the switch as if nothing had happened.
func TestSpoiledDoorbells(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{})
	dir := serve(t, sw)
	s := newSpoiler(t, dir)
	defer s.close()
	a, b := attach(t, sw, 2), attach(t, sw, 3)
	undo := s.spoil()
	const hang = 20 * time.Second
	returns := func(what string, f func() error) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- f() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(hang):
			t.Errorf("%s does not return", what)
			undo()
			<-done
		}
	}
	f := testFrame(frame.Broadcast(), macA, 60, 1)
	for range 100 {
		returns("Write", func() error { _, err := a.Write(f); return err })
		returns("Read", func() error { _, err := b.Read(make([]byte, 100)); return err })
		returns("Stats", func() error { sw.Stats(); return nil })
		if t.Failed() {
			break
		}
		s.spoil()
	}
	port := 0
	for _, p := range sw.Ports() {
		for _, e := range p.Endpoints {
			if e.Kind == vswitch.KindSharedMemory {
				port = p.Number
				returns("Disconnect", func() error { return sw.Disconnect(p.Number, e.ID) })
			}
		}
	}
	if port == 0 {
		t.Error("the client has no port")
	}
	returns("Close", sw.Close)
}
