// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A streamSwitch is a switch made by hand. It answers each client with the next of its
// answers, behind the name of its data socket, and with what follows.
type streamSwitch struct {
	dir     string
	clients chan streamClient
}

// A streamClient is a client of a streamSwitch.
type streamClient struct {
	*net.UnixConn
	name string // of its socket, as the kernel has it
	data *net.UnixConn
}

// A streamReply is what a streamSwitch says to a client.
type streamReply struct {
	answer string // the end of the reply
	then   []byte // behind it
}

func newStreamSwitch(t *testing.T, replies ...streamReply) *streamSwitch {
	s := &streamSwitch{dir: testutil.ShortDir(t), clients: make(chan streamClient, len(replies))}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.dir + "/ctl", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, r := range replies {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			client, err := s.answer(c, r)
			if err != nil {
				t.Error(err)
			}
			s.clients <- client
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(s.clients)
		for c := range s.clients {
			c.Close()
			c.data.Close()
		}
	})
	return s
}

func (s *streamSwitch) answer(c *net.UnixConn, r streamReply) (streamClient, error) {
	client := streamClient{UnixConn: c}
	if a, ok := c.RemoteAddr().(*net.UnixAddr); ok && a != nil {
		client.name = a.Name
	}
	b := make([]byte, wire.MaxRequestLen)
	n, err := c.Read(b) // descriptors that come with it are closed
	if err != nil {
		return client, err
	}
	req, err := wire.ParseRequest(b[:n])
	if err != nil {
		return client, err
	}
	name := filepath.Join(s.dir, "data"+filepath.Base(req.Path))
	client.data, err = net.DialUnix("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"}, &net.UnixAddr{Name: req.Path, Net: "unixgram"})
	if err != nil {
		return client, err
	}
	reply := binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX)
	reply = append(reply, name...)
	reply = append(reply, make([]byte, 110-len(reply)-len(r.answer))...)
	_, err = c.Write(append(append(reply, r.answer...), r.then...))
	return client, err
}

func rawRecord(f []byte) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(len(f))), f...)
}

// TestStreamOffer: what the client's socket is called, and that a switch which does
// not answer gets ordinary datagrams.
func TestStreamOffer(t *testing.T) {
	never := vde.WithSharedMemory(vde.SharedMemoryNever)
	plain, vnet := "^@VDE-STREAM\\?0100[0-9a-f]{16}$", "^@VDE-STREAM\\?0101[0-9a-f]{16}$"
	for _, tt := range []struct {
		name string
		opts []vde.Option
		want string
	}{
		{"default", nil, plain},
		{"with offload", []vde.Option{vde.WithOffload()}, vnet},
		{"memory always", []vde.Option{vde.WithSharedMemory(vde.SharedMemoryAlways)}, plain},
		{"no memory", []vde.Option{never}, "^@?$"},
		{"no memory, streams always", []vde.Option{never, vde.WithStreams(vde.StreamsAlways)}, plain},
		{"no streams", []vde.Option{vde.WithStreams(vde.StreamsNever)}, "^@?$"},
		{"longest frames", []vde.Option{vde.WithMaxFrameSize(131058)}, plain},
		{"longer frames", []vde.Option{vde.WithMaxFrameSize(131059)}, "^@?$"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			s := newStreamSwitch(t, streamReply{})
			c := conntest.Open(t, s.dir, tt.opts...)
			client := <-s.clients
			defer client.Close()
			defer client.data.Close()
			if !regexp.MustCompile(tt.want).MatchString(client.name) {
				t.Errorf("the client's socket is called %q, want %s", client.name, tt.want)
			}
			f := conntest.Frame(60, 1)
			if _, err := c.Write(f); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			if n, err := client.data.Read(b); err != nil || string(b[:n]) != string(f) {
				t.Errorf("the data socket got % x, %v", b[:n], err)
			}
			if _, err := c.SyscallConn(); err != nil {
				t.Errorf("SyscallConn: %v", err)
			}
		})
	}
}

// TestStreamTaken: frames go both ways over the control stream, behind headers where
// these were agreed on, also if they come together with the reply.
func TestStreamTaken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opts   []vde.Option
		answer string
		vnet   string
	}{
		{"plain", nil, "VDEST!\x01\x00", ""},
		{"headers offered, not taken", []vde.Option{vde.WithOffload()}, "VDEST!\x01\x00", ""},
		{"headers", []vde.Option{vde.WithOffload()}, "VDEST!\x01\x01", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			f, g := conntest.Frame(60, 1), conntest.Frame(70, 2)
			record := func(f []byte) string { return string(rawRecord(f)[:4]) + tt.vnet + string(f) }
			s := newStreamSwitch(t, streamReply{tt.answer, []byte(record(f) + record(g))})
			before := openfiles.Open()
			c := conntest.Open(t, s.dir, tt.opts...)
			client := <-s.clients
			defer client.Close()
			defer client.data.Close()
			b := make([]byte, 200)
			for _, want := range [][]byte{f, g} {
				if n, err := c.Read(b); err != nil || string(b[:n]) != string(want) {
					t.Fatalf("read % x, %v", b[:n], err)
				}
			}
			if _, err := c.WriteBatch([][]byte{f, g}); err != nil {
				t.Fatal(err)
			}
			want := record(f) + record(g)
			if _, err := io.ReadFull(client, b[:len(want)]); err != nil || string(b[:len(want)]) != want {
				t.Errorf("the switch got % x, %v", b[:len(want)], err)
			}
			if _, err := c.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) || c.Caps().SharedMemory {
				t.Errorf("SyscallConn: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if n, err := client.Read(b); n != 0 || err != io.EOF {
				t.Errorf("after Close the switch got %d bytes, %v", n, err)
			}
			client.Close()
			client.data.Close()
			if left := openfiles.Open().Since(before); left != nil {
				t.Errorf("descriptors left: %v", left)
			}
		})
	}
}

// TestStreamWrongAnswer: an answer to something else is that of no switch.
func TestStreamWrongAnswer(t *testing.T) {
	testutil.NoLeaks(t)
	for _, answer := range []string{"VDEST!\x02\x00", "VDEST!\x00\x00", "VDEST!\x01\x01", "VDEST!\x01\x80"} {
		s := newStreamSwitch(t, streamReply{answer, nil})
		err := conntest.FailsToOpen(t, conntest.Watchdog(t), s.dir)
		checkOpenError(t, s.dir, err, vde.ErrNotSwitch, "answer of version")
	}
	// Who offered nothing does not look for an answer.
	s := newStreamSwitch(t, streamReply{"VDEST!\x02\x00", nil})
	conntest.Open(t, s.dir, vde.WithStreams(vde.StreamsNever))
}

// TestStreamBroken: a length that no record has ends the connection, with the reason,
// after what came before.
func TestStreamBroken(t *testing.T) {
	testutil.NoLeaks(t)
	f := conntest.Frame(60, 1)
	s := newStreamSwitch(t, streamReply{"VDEST!\x01\x00", append(rawRecord(f), 0xff, 0xff, 0xff, 0xff)})
	c := conntest.Open(t, s.dir)
	b := make([]byte, 100)
	if n, err := c.Read(b); err != nil || string(b[:n]) != string(f) {
		t.Errorf("read % x, %v", b[:n], err)
	}
	for range 2 {
		if n, err := c.Read(b); n != 0 || !errors.Is(err, vde.ErrSharedMemory) {
			t.Errorf("read %d bytes, %v", n, err)
		}
	}
	<-c.Context().Done()
	if err := c.Err(); !errors.Is(err, vde.ErrSharedMemory) {
		t.Errorf("ended with %v", err)
	}
}

// TestStreamReconnects: a connection goes from a stream to sockets and back.
func TestStreamReconnects(t *testing.T) {
	testutil.NoLeaks(t)
	f := conntest.Frame(60, 1)
	taken := streamReply{"VDEST!\x01\x00", rawRecord(f)}
	s := newStreamSwitch(t, taken, streamReply{}, taken)
	c := conntest.Open(t, s.dir, vde.WithReconnect(conntest.Quick))
	b := make([]byte, 100)
	for i := range 3 {
		client := conntest.Await(t, "joining", s.clients)
		if i == 1 {
			if _, err := client.data.Write(f); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := c.Read(b); err != nil || string(b[:n]) != string(f) {
			t.Fatalf("%d: read % x, %v", i, b[:n], err)
		}
		client.Close()
		client.data.Close()
	}
}

// TestStreamStock: the switches that Debian has do not notice the offer.
func TestStreamStock(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) string{
		"vde_switch": func(t *testing.T) string { return testpeers.StartSwitch(t, testpeers.SwitchConfig{}).Dir() },
		"node":       func(t *testing.T) string { return testpeers.StartNode(t, "switch").VNL() },
	} {
		t.Run(name, func(t *testing.T) {
			testutil.NoLeaks(t)
			vnl := start(t)
			a := conntest.Open(t, vnl, vde.WithStreams(vde.StreamsAlways), vde.WithOffload())
			b := conntest.Open(t, vnl, vde.WithStreams(vde.StreamsNever))
			if _, err := a.SyscallConn(); err != nil {
				t.Errorf("SyscallConn: %v", err)
			}
			f, buf := conntest.Frame(60, 1), make([]byte, 100)
			for _, pair := range [][2]*vde.Conn{{a, b}, {b, a}} {
				if _, err := pair[0].Write(f); err != nil {
					t.Fatal(err)
				}
				if n, err := pair[1].Read(buf); err != nil || string(buf[:n]) != string(f) {
					t.Errorf("read % x, %v", buf[:n], err)
				}
			}
		})
	}
}
