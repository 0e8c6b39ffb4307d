// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// overStream joins by a stream, also where memory could be shared.
var overStream = []vde.Option{vde.WithSharedMemory(vde.SharedMemoryNever), vde.WithStreams(vde.StreamsAlways)}

// A streamUse is a client and a switch, and what carries their frames.
type streamUse struct {
	name string
	user who
	opts []vde.Option
	cfg  vswitch.Config
	want vswitch.Kind
}

// TestStreamUsers: frames go through a stream where memory may not be shared and both
// sides allow it.
func TestStreamUsers(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID")
	root := who{}
	for _, use := range []streamUse{
		{"same user", root, nil, vswitch.Config{}, vswitch.KindSharedMemory},
		{"same user, client always", root, []vde.Option{vde.WithStreams(vde.StreamsAlways)}, vswitch.Config{}, vswitch.KindSharedMemory},
		{"same user, no memory", root, overStream, vswitch.Config{}, vswitch.KindStream},
		{"client without memory", root, []vde.Option{vde.WithSharedMemory(vde.SharedMemoryNever)}, vswitch.Config{}, vswitch.KindSocket},
		{"switch without memory", root, nil, vswitch.Config{SharedMemory: vde.SharedMemoryNever}, vswitch.KindStream},
		{"no memory left", root, nil, vswitch.Config{MaxSharedMemory: 1}, vswitch.KindStream},
		{"another user", nobody, nil, vswitch.Config{}, vswitch.KindStream},
		{"another user with offload", nobody, []vde.Option{vde.WithOffload()}, vswitch.Config{}, vswitch.KindStream},
		{"another user, client never", nobody, []vde.Option{vde.WithStreams(vde.StreamsNever)}, vswitch.Config{}, vswitch.KindSocket},
		{"another user, switch never", nobody, nil, vswitch.Config{NoStreams: true}, vswitch.KindSocket},
		{"another user, frames too long for a record", nobody, []vde.Option{vde.WithMaxFrameSize(1 << 20)}, vswitch.Config{}, vswitch.KindSocket},
	} {
		t.Run(use.name, use.check)
	}
}

func (use streamUse) check(t *testing.T) {
	testutil.NoLeaks(t)
	use.cfg.Mode = 0o777
	sw := vswitch.New(use.cfg)
	dir := serve(t, sw)
	defer sw.Close()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var c *vde.Conn
	if err := use.user.do(func() (err error) {
		c, err = vde.Open(t.Context(), dir, use.opts...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := sw.Ports()[0].Endpoints[0].Kind; got != use.want {
		t.Errorf("the endpoint is %q, want %q", got, use.want)
	}
	_, err := c.SyscallConn()
	if socket := use.want == vswitch.KindSocket; socket != (err == nil) || !socket && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn: %v", err)
	}
	if s := sw.Stats().Serve; s.RingsRejected != 0 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
	a := attach(t, sw, 7)
	f := testFrame(macB, macA, 100, 1)
	write(t, c, f)
	b := make([]byte, 200)
	if n, err := a.Read(b); err != nil || string(b[:n]) != string(f) {
		t.Errorf("the switch passed on % x, %v", b[:n], err)
	}
	write(t, a, f)
	if n, err := c.Read(b); err != nil || string(b[:n]) != string(f) {
		t.Errorf("the client got % x, %v", b[:n], err)
	}
}

// streamPairOf is socketPair with streams.
func streamPairOf(cfg vswitch.Config) testutil.MakePair {
	return func(tb testing.TB) (*testutil.Pair, error) {
		sw := vswitch.New(cfg)
		dir := serve(tb, sw)
		testutil.NoLive(tb, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
		var conns [2]*vde.Conn
		for i := range conns {
			c, err := vde.Open(tb.Context(), dir, append(overStream, vde.WithPort(i+1))...)
			if err != nil {
				return nil, err
			}
			conns[i] = c
		}
		return &testutil.Pair{A: conns[0], B: conns[1], Stop: func() { sw.Close() }}, nil
	}
}

func TestConformanceStreams(t *testing.T) {
	t.Run("Waiting", func(t *testing.T) {
		testutil.NoLeaks(t)
		testutil.TestPacketConn(t, streamPairOf(waiting()), testutil.ConnOptions{Allocs: true})
	})
	t.Run("Default", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes as long again")
		}
		testutil.NoLeaks(t)
		testutil.TestPacketConn(t, streamPairOf(vswitch.Config{}), testutil.ConnOptions{Lossy: true})
	})
}

// A rawStream is a client made by hand that has joined by a stream.
type rawStream struct {
	t  *testing.T
	fd int
}

// plugStream joins the switch in dir with a socket of the given name, and checks the
// bytes of the reply.
func plugStream(t *testing.T, dir, name string, answer string) *rawStream {
	t.Helper()
	p := plugData(t, dir, plugOptions{})
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &rawStream{t, fd}
	t.Cleanup(s.close)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: dir + "/ctl"}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, v3(0, 0)(p.name)); err != nil {
		t.Fatal(err)
	}
	reply := s.read(110)
	path, err := wire.ParseReply(reply)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(rawReply(path, answer)); string(reply) != want {
		t.Errorf("reply:\n got %q\nwant %q", reply, want)
	}
	return s
}

// rawReply builds a reply from the description in docs/streams.md.
func rawReply(path, answer string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX)
	b = append(b, path...)
	b = append(b, make([]byte, 110-len(b)-len(answer))...)
	return append(b, answer...)
}

func (s *rawStream) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
	s.fd = -1
}

// read reads n bytes, or fewer at the end.
func (s *rawStream) read(n int) (b []byte) {
	s.t.Helper()
	tv := unix.NsecToTimeval(int64(long))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		s.t.Fatal(err)
	}
	for len(b) < n {
		part := make([]byte, n-len(b))
		k, err := unix.Read(s.fd, part)
		if k == 0 && err == nil || err == unix.ECONNRESET {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		b = append(b, part[:k]...)
	}
	return b
}

func (s *rawStream) write(b []byte) {
	s.t.Helper()
	if _, err := unix.Write(s.fd, b); err != nil {
		s.t.Fatal(err)
	}
}

func rawRecord(f []byte) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(len(f))), f...)
}

const plainStream, vnetStream = "@VDE-STREAM?0100", "@VDE-STREAM?0101"

// TestStreamBytes joins byte by byte, and looks at the bytes of the reply and of the
// records.
func TestStreamBytes(t *testing.T) {
	_, dir := start(t, vswitch.Config{})
	for i, tt := range []struct {
		name, answer string
		vnet         string // header of each record
	}{
		{plainStream + "00000000000000a1", "VDEST!\x01\x00", ""},
		{vnetStream + "00000000000000a2", "VDEST!\x01\x01", strings.Repeat("\x00", 10)},
		{"@VDE-STREAM?01ff" + "00000000000000a3", "VDEST!\x01\x01", strings.Repeat("\x00", 10)},
	} {
		a := plugStream(t, dir, tt.name, tt.answer)
		b := plugStream(t, dir, plainStream+"00000000000000b"+string(rune('0'+i)), "VDEST!\x01\x00")
		f, g := testFrame(macB, macA, 60, 1), testFrame(macA, macB, 61, 2)
		r := rawRecord(f)
		a.write(append(append(r[:4:4], tt.vnet...), f...))
		if got := b.read(len(r)); string(got) != string(r) {
			t.Errorf("got % x, want % x", got, r)
		}
		b.write(rawRecord(g))
		want := string(rawRecord(g)[:4]) + tt.vnet + string(g)
		if got := a.read(len(want)); string(got) != want {
			t.Errorf("got % x, want % x", got, want)
		}
		a.close()
		b.close()
	}
	for i, name := range []string{"@VDE-STREAM?0200", "@VDE-STREAM!0100", "@VDE-STREAM?01+0", "@something else.."} {
		plugStream(t, dir, name+"00000000000000c"+string(rune('0'+i)), "").close()
	}
}

// TestStreamLongDirectory: there is no room for the answer, and frames go through
// sockets.
func TestStreamLongDirectory(t *testing.T) {
	testutil.NoLeaks(t)
	base := testutil.ShortDir(t)
	for length, want := range map[int]vswitch.Kind{75: vswitch.KindStream, 80: vswitch.KindStream, 81: vswitch.KindSocket, 95: vswitch.KindSocket} {
		dir := filepath.Join(base, strings.Repeat("d", length-len(base)-1))
		sw := vswitch.New(vswitch.Config{})
		listen(t, sw, dir)
		c := open(t, dir, overStream...)
		if got := sw.Ports()[0].Endpoints[0].Kind; got != want {
			t.Errorf("a directory of %d bytes: %q, want %q", length, got, want)
		}
		c.Close()
		sw.Close()
	}
}

// A hostile client ends its own port, if anything, and everything that it sends is
// counted. Two others notice nothing.
func TestStreamHostile(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, s *rawStream)
		ends bool // its port
		in   uint64
		bad  uint64 // violations
	}{
		{name: "half a record", do: func(_ *testing.T, s *rawStream) { s.write(rawRecord(make([]byte, 60))[:30]) }},
		{name: "half a length", do: func(_ *testing.T, s *rawStream) { s.write([]byte{1, 0}) }},
		{name: "most of a long record", do: func(_ *testing.T, s *rawStream) { s.write(rawRecord(make([]byte, 60_000))[:50_000]) }},
		{name: "a length out of bounds", do: func(_ *testing.T, s *rawStream) {
			s.write(append(rawRecord(testFrame(macC, macC, 60, 1)), 0xff, 0xff, 0xff, 0xff))
		}, ends: true, in: 1, bad: 1},
		{name: "a request", do: func(_ *testing.T, s *rawStream) { s.write(v3(0, 0)("/tmp/x")) }, ends: true, bad: 1}, // its magic is a length
		{name: "half closed", do: func(t *testing.T, s *rawStream) {
			s.write(rawRecord(testFrame(macC, macC, 60, 1)))
			if err := unix.Shutdown(s.fd, unix.SHUT_WR); err != nil {
				t.Error(err)
			}
		}, ends: true, in: 1},
		{name: "runts", do: func(_ *testing.T, s *rawStream) { s.write(append(rawRecord(nil), rawRecord([]byte("abc"))...)) }, in: 2},
		{name: "deaf", do: func(t *testing.T, s *rawStream) {
			if err := unix.Shutdown(s.fd, unix.SHUT_RD); err != nil {
				t.Error(err)
			}
		}},
		{name: "urgent", do: func(t *testing.T, s *rawStream) {
			_ = unix.Sendto(s.fd, []byte("x"), unix.MSG_OOB, nil) // not in all kernels
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sw, dir := start(t, vswitch.Config{})
			a := open(t, dir, append(overStream, vde.WithPort(2))...)
			b := open(t, dir, append(overStream, vde.WithPort(3))...)
			s := plugStream(t, dir, plainStream+"00000000000000d0", "VDEST!\x01\x00")
			tt.do(t, s)
			if tt.ends {
				s.read(1 << 20)
				until(t, "it has no port", func() bool { return len(active(sw)) == 2 })
			}
			talk(t, a, b, 100)
			if !tt.ends && len(active(sw)) != 3 {
				t.Errorf("ports %v, want three", active(sw))
			}
			until(t, "all is counted", func() bool { return counts(t, sw, 1).In.Frames == tt.in })
			if got := sw.Stats().Serve.Violations; got != tt.bad {
				t.Errorf("%d violations, want %d", got, tt.bad)
			}
			s.close()
			until(t, "it has no port", func() bool { return len(active(sw)) == 2 })
		})
	}
}

// talk has two stations send each other so many frames, one at a time.
func talk(t *testing.T, a, b *vde.Conn, n int) {
	t.Helper()
	buf := make([]byte, 2000)
	for i := range n {
		for _, dir := range []struct {
			from, to *vde.Conn
			f        []byte
		}{{a, b, testFrame(macB, macA, 100, byte(i))}, {b, a, testFrame(macA, macB, 100, byte(i))}} {
			write(t, dir.from, dir.f)
			for {
				k, err := dir.to.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				if string(buf[:k]) == string(dir.f) {
					break
				}
			}
		}
	}
}

// TestStreamNeverRead fills the port of a client that never reads: its frames are
// dropped and counted, for the causes of the policy, and nobody else waits.
func TestStreamNeverRead(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) {
			sw, dir := start(t, vswitch.Config{WriteBuffer: 16 << 10, Ports: map[int]vswitch.PortConfig{
				1: withStatic(macC, vswitch.PortConfig{Policy: policy, Queue: 64}),
			}})
			s := plugStream(t, dir, plainStream+"00000000000000e0", "VDEST!\x01\x00")
			a, b := attach(t, sw, 2), open(t, dir, append(overStream, vde.WithPort(3))...)
			const sent = 2000
			for i := range sent {
				write(t, a, testFrame(macC, macA, 1000, byte(i)))
			}
			talk(t, a, b, 10)
			out := counts(t, sw, 1).Out // and one frame to B that was flooded
			if out.Offered != sent+1 || out.Dropped.Sum() == 0 || out.Dropped.Refused+out.Dropped.Closed != 0 || (policy == vswitch.HeadDrop) != (out.Dropped.HeadDrop > 0) {
				t.Errorf("%+v", out)
			}
			// What the switch says it has sent is there.
			if policy != vswitch.HeadDrop {
				if got := s.read(int(out.Frames) * 1004); len(got) != int(out.Frames)*1004 {
					t.Errorf("%d bytes, want %d frames", len(got), out.Frames)
				}
			}
			s.close()
			until(t, "it has no port", func() bool { return len(active(sw)) == 2 })
			counts(t, sw, 1) // which adds up
		})
	}
}

// TestStreamFlood floods a switch with frames as fast as they can be written. Others
// exchange theirs.
func TestStreamFlood(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	a, b := attach(t, sw, 2), attach(t, sw, 3)
	s := plugStream(t, dir, plainStream+"00000000000000f0", "VDEST!\x01\x00")
	var batch []byte
	for range 64 {
		batch = append(batch, rawRecord(testFrame(macC, macC, 60, 1))...)
	}
	stop, stopped := make(chan struct{}), make(chan uint64)
	go func() {
		sent := uint64(0)
		for {
			select {
			case <-stop:
				stopped <- sent
				return
			default:
			}
			if n, err := unix.Write(s.fd, batch); n != len(batch) || err != nil {
				t.Errorf("wrote %d bytes, %v", n, err)
				<-stop
				stopped <- sent
				return
			}
			sent += 64
		}
	}()
	talk(t, a, b, 200)
	close(stop)
	sent := <-stopped
	s.close()
	until(t, "all is counted", func() bool { return counts(t, sw, 1).In.Frames == sent })
}

// TestStreamEnds: what a client had not read when the switch ended it can be read,
// what the switch had not read is counted, and the sums of both sides agree.
func TestStreamEnds(t *testing.T) {
	for _, how := range []string{"the client closes", "the switch closes", "disconnected"} {
		t.Run(how, func(t *testing.T) {
			sw, dir := start(t, vswitch.Config{})
			c := open(t, dir, append(overStream, vde.WithPort(1))...)
			a := attach(t, sw, 2)
			write(t, c, testFrame(macA, macC, 60, 0)) // to be known
			sentByClient := uint64(1)
			for i := range 100 {
				write(t, a, testFrame(macC, macA, 100, byte(i)))
				write(t, c, testFrame(macA, macC, 100, byte(i)))
				sentByClient++
			}
			var buf [200]byte
			for range 10 {
				if _, err := c.Read(buf[:]); err != nil {
					t.Fatal(err)
				}
			}
			switch how {
			case "the client closes":
				c.Close()
			case "the switch closes":
				sw.Close()
			default:
				if err := sw.Disconnect(1, 0); err != nil {
					t.Fatal(err)
				}
			}
			<-c.Context().Done()
			for {
				if _, err := c.Read(buf[:]); err != nil {
					break
				}
			}
			c.Close()
			sameSums(t, c, sw, 1)
			st := c.Stats()
			if st.TxFrames != sentByClient {
				t.Errorf("the client counts %+v, want %d sent", st, sentByClient)
			}
			if how != "the client closes" && st.RxFrames != 100 {
				t.Errorf("the client could read %d frames, want 100", st.RxFrames)
			}
		})
	}
}

// TestStreamDescriptors: a client cannot make the switch keep descriptors by sending
// them with its frames.
func TestStreamDescriptors(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	s := plugStream(t, dir, plainStream+"00000000000000f1", "VDEST!\x01\x00")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = unix.Sendmsg(s.fd, rawRecord(testFrame(macC, macC, 60, 1)), unix.UnixRights(int(w.Fd())), nil, 0)
	w.Close()
	if err == nil { // refused since Linux 6.16
		until(t, "the frame has come", func() bool { return counts(t, sw, 1).In.Frames == 1 })
	}
	// The pipe ends, because nobody has its other side.
	if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v", n, err)
	}
}
