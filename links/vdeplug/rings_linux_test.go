// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug_test

import (
	"errors"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A sharer is a switch with one port, which takes offers of shared memory as it
// is told.
type sharer struct {
	dir    string
	ends   chan *shm.End // of each client that was answered, nil without shared memory
	wreck  func()        // breaks the rules towards the last client
	ctls   []*net.UnixConn
	data   []*net.UnixConn
	copies []int    // of descriptors that clients sent
	maps   [][]byte // of the words of control in clients' memory
	wants  []uint64 // what to take from the first client, from the second…
	lose   bool     // one descriptor of each reply
}

func newSharer(t *testing.T, lose bool, wants ...uint64) *sharer {
	dir := testutil.ShortDir(t)
	s := &sharer{dir: dir, ends: make(chan *shm.End, len(wants)), wants: wants, lose: lose}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/ctl", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range wants {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if err := s.answer(c, i); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		s.close()
	})
	return s
}

func (s *sharer) close() {
	for _, c := range append(s.ctls, s.data...) {
		c.Close()
	}
	transport.CloseDescriptors(s.copies)
	for _, m := range s.maps {
		unix.Munmap(m)
	}
	s.copies, s.maps = nil, nil
}

func (s *sharer) answer(c *net.UnixConn, i int) error {
	s.ctls = append(s.ctls, c)
	b, oob := make([]byte, wire.MaxRequestLen), make([]byte, transport.RightsLen)
	n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return err
	}
	req, err := wire.ParseRequest(b[:n])
	if err != nil {
		return err
	}
	fds := transport.AppendDescriptors(nil, oob[:oobn])
	if i == 0 && len(fds) == transport.MaxDescriptors {
		control, err := unix.Mmap(fds[0], 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		s.maps = append(s.maps, control)
		frameBell, err := unix.FcntlInt(uintptr(fds[1]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		s.copies = append(s.copies, frameBell)
		s.wreck = func() {
			// Both tails, so that whoever reads finds out, and whoever writes.
			for _, tail := range []int{1024, 2048} {
				copy(control[tail:], []byte{1, 0, 0, 0, 0, 0, 0, 1})
			}
			unix.Write(frameBell, []byte{1})
		}
	}
	end, _, attach, err := shm.Accept(fds, s.wants[i])
	if err != nil {
		return err
	}
	if end != nil {
		defer end.Attached()
	}
	name := filepath.Join(s.dir, "data"+string(rune('0'+i)))
	data, err := net.DialUnix("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"}, &net.UnixAddr{Name: req.Path, Net: "unixgram"})
	if err != nil {
		return err
	}
	s.data = append(s.data, data)
	reply, err := wire.AppendReply(nil, name)
	if err != nil {
		return err
	}
	if s.lose && len(attach) > 0 {
		attach = attach[:1]
	}
	if _, _, err := c.WriteMsgUnix(reply, unix.UnixRights(attach...), nil); err != nil {
		return err
	}
	s.ends <- end
	return nil
}

// TestSharedMemory: frames go both ways through the rings of a switch that takes
// the offer, and SyscallConn has nothing to show.
func TestSharedMemory(t *testing.T) {
	testutil.NoLeaks(t)
	s := newSharer(t, false, shm.FeatureRings)
	c := conntest.Open(t, s.dir)
	end := <-s.ends
	defer end.Close()
	if !c.Caps().SharedMemory {
		t.Fatal("no shared memory")
	}
	if _, err := c.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn: %v", err)
	}
	f := conntest.Frame(60, 1)
	if _, _, err := end.Send(link.Tx{Frames: [][]byte{f}}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != string(f) {
		t.Errorf("read % x, %v", buf[:n], err)
	}
	if _, err := c.Write(f); err != nil {
		t.Fatal(err)
	}
	sizes := make([]int, 1)
	if n, err := end.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || err != nil || string(buf[:sizes[0]]) != string(f) {
		t.Errorf("received % x, %v", buf[:sizes[0]], err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := end.Send(link.Tx{Frames: [][]byte{f}}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent to a connection that is closed: %v", err)
	}
}

// TestSharedMemoryBroken: a switch that breaks the rules ends the connection, with
// the reason.
func TestSharedMemoryBroken(t *testing.T) {
	testutil.NoLeaks(t)
	for _, framing := range []bool{false, true} {
		s := newSharer(t, false, shm.FeatureRings)
		c := conntest.Open(t, s.dir)
		end := <-s.ends
		if framing {
			c.Frames()
		} else {
			go func() {
				for c.Err() == nil {
					c.Read(make([]byte, 100))
				}
			}()
		}
		s.wreck()
		<-c.Context().Done()
		if err := c.Err(); !errors.Is(err, vde.ErrSharedMemory) {
			t.Errorf("ended with %v", err)
		}
		if _, err := c.Write(conntest.Frame(60, 1)); !errors.Is(err, vde.ErrSharedMemory) {
			t.Errorf("wrote: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		end.Close()
	}
}

// TestSharedMemoryReconnects: broken rules are an end like others to a connection
// that reconnects, whichever call finds them.
func TestSharedMemoryReconnects(t *testing.T) {
	testutil.NoLeaks(t)
	for _, tt := range []struct {
		name string
		test func(t *testing.T, s *sharer, c *vde.Conn) *shm.End // returns the second switch's end
	}{
		{"read", func(t *testing.T, s *sharer, c *vde.Conn) *shm.End {
			return reconnectWhileReading(t, s, func() ([]byte, error) {
				buf := make([]byte, 100)
				n, err := c.Read(buf)
				return buf[:n], err
			})
		}},
		{"frames", func(t *testing.T, s *sharer, c *vde.Conn) *shm.End {
			return reconnectWhileReading(t, s, func() ([]byte, error) {
				f := <-c.Frames()
				defer f.Release()
				return slices.Clone(f.Bytes()), nil
			})
		}},
		{"write", reconnectWhileWriting},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSharer(t, false, shm.FeatureRings, shm.FeatureRings)
			c := conntest.Open(t, s.dir, vde.WithReconnect(conntest.Quick))
			first := <-s.ends
			defer first.Close()
			second := tt.test(t, s, c)
			defer second.Close()
			if err := c.Err(); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// reconnectWhileReading breaks the rules during a read, which then returns a frame of
// the next switch.
func reconnectWhileReading(t *testing.T, s *sharer, read func() ([]byte, error)) *shm.End {
	got := make(chan []byte, 1)
	go func() {
		b, err := read()
		if err != nil {
			t.Errorf("read: %v", err)
		}
		got <- b
	}()
	s.wreck()
	second := conntest.Await(t, "joining again", s.ends)
	f := conntest.Frame(60, 1)
	if _, _, err := second.Send(link.Tx{Frames: [][]byte{f}}); err != nil {
		t.Fatal(err)
	}
	if b := conntest.Await(t, "read", got); string(b) != string(f) {
		t.Errorf("got % x", b)
	}
	return second
}

// reconnectWhileWriting breaks the rules before writes, of which the first finds out
// and goes on with the next switch.
func reconnectWhileWriting(t *testing.T, s *sharer, c *vde.Conn) *shm.End {
	s.wreck()
	f := conntest.Frame(60, 1)
	for range 3 {
		if _, err := c.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	second := conntest.Await(t, "joining again", s.ends)
	buf, sizes := make([]byte, 100), make([]int, 1)
	for range 3 {
		if n, err := second.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || err != nil || string(buf[:sizes[0]]) != string(f) {
			t.Fatalf("received % x, %v", buf[:sizes[0]], err)
		}
	}
	return second
}

// TestSharedMemoryLost: where descriptors of the reply get lost, the connection
// is made once more, without an offer.
func TestSharedMemoryLost(t *testing.T) {
	testutil.NoLeaks(t)
	s := newSharer(t, true, shm.FeatureRings, shm.FeatureRings)
	before := openfiles.Open()
	c := conntest.Open(t, s.dir)
	first, second := <-s.ends, <-s.ends
	if c.Caps().SharedMemory || first == nil || second != nil {
		t.Errorf("shared memory: %v; the switch has %v and %v", c.Caps().SharedMemory, first, second)
	}
	first.Close()
	c.Close()
	s.close()
	if left := openfiles.Open().Since(before); left != nil {
		t.Errorf("descriptors left: %v", left)
	}
}

// TestSharedMemoryRefused: without an answer everything goes on through sockets.
func TestSharedMemoryRefused(t *testing.T) {
	testutil.NoLeaks(t)
	s := newSharer(t, false, 0)
	c := conntest.Open(t, s.dir)
	if end := <-s.ends; end != nil || c.Caps().SharedMemory {
		t.Fatalf("shared memory: %v, %v", end, c.Caps().SharedMemory)
	}
	f := conntest.Frame(60, 1)
	if _, err := s.data[0].Write(f); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != string(f) {
		t.Errorf("read % x, %v", buf[:n], err)
	}
}

// TestSharedMemoryNotOffered: with SharedMemoryNever the switch gets no descriptors.
func TestSharedMemoryNotOffered(t *testing.T) {
	s := newSharer(t, false, shm.FeatureRings)
	c := conntest.Open(t, s.dir, vde.WithSharedMemory(vde.SharedMemoryNever))
	if end := <-s.ends; end != nil || c.Caps().SharedMemory {
		t.Errorf("shared memory: %v, %v", end, c.Caps().SharedMemory)
	}
}
