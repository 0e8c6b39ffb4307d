// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/tap"
)

// TestLink holds two devices on a bridge of the kernel to the promises. A bridge does
// not tell one that the other has gone, and the kernel never has enough.
func TestLink(t *testing.T) {
	ns := namespace(t)
	ip(t, ns, "ip link add br0 type bridge mcast_snooping 0", "ip link set dev br0 up")
	linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
		if a, err = open(tb, ns, tap.Driver{}, "a%d", link.Settings{}); err != nil {
			return nil, nil, err
		}
		if b, err = open(tb, ns, tap.Driver{}, "b%d", link.Settings{}); err != nil {
			a.Close()
			return nil, nil, err
		}
		for _, l := range []link.Link{a, b} {
			ip(tb, ns, "ip link set dev "+nameOf(l)+" master br0 up")
		}
		return a, b, nil
	}, linktest.Options{Unbounded: true, NoHangup: true, NoCount: true, SingleSegments: true, Reason: "the kernel takes every frame, and a bridge does not tell that another port has gone"})
}

// nameOf returns the name of the interface of l.
func nameOf(l link.Link) string { return strings.TrimPrefix(l.Caps().Address, "tap://") }

// TestFrames has frames cross between a link and a packet socket on the interface.
func TestFrames(t *testing.T) {
	ns := namespace(t)
	l := up(t, ns, "lan0")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", false)
	for _, n := range []int{14, 15, 60, 1000, 1514} {
		want := testFrame(n, byte(n))
		send(t, l, want)
		if got, err := p.Recv(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the kernel received %x, %v", n, got, err)
		}
		if n == 14 {
			continue // the kernel does not send an empty payload
		}
		if err := p.Send(want); err != nil {
			t.Fatal(err)
		}
		if got, err := recvOne(l); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the link received %x, %v", n, got, err)
		}
	}
	// A frame with a VLAN tag stays as it is, too.
	tagged := append(testFrame(60, 3)[:12:12], 0x81, 0, 0xaf, 0xfe, 8, 6, 1, 2, 3, 4)
	if err := p.Send(tagged); err != nil {
		t.Fatal(err)
	}
	if got, err := recvOne(l); err != nil || !bytes.Equal(got, tagged) {
		t.Errorf("the link received %x, %v, want %x", got, err, tagged)
	}
}

// TestRefusedFrames has the kernel refuse frames one by one.
func TestRefusedFrames(t *testing.T) {
	ns := namespace(t)
	l := up(t, ns, "lan0")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", false)
	for _, bad := range [][]byte{{}, make([]byte, 13)} {
		if n, _, err := l.Send(link.Tx{Frames: [][]byte{testFrame(60, 1), bad, testFrame(60, 2)}}); n != 1 || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%d bytes: %d sent, %v", len(bad), n, err)
		}
		if got, err := p.Recv(); err != nil || !bytes.Equal(got, testFrame(60, 1)) {
			t.Errorf("received %x, %v", got, err)
		}
	}
	// Of more pieces than a system call takes.
	f := testFrame(1400, 9)
	var pieces net.Buffers
	for i := range f {
		pieces = append(pieces, f[i:i+1])
	}
	if n, _, err := l.Send(link.Tx{Pieces: []net.Buffers{pieces}}); n != 1 || err != nil {
		t.Fatal(err)
	}
	if got, err := p.Recv(); err != nil || !bytes.Equal(got, f) {
		t.Errorf("received %x, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	ns := namespace(t)
	for _, test := range []struct{ arg, want string }{
		{"", "tap0"}, {"", "tap1"}, {"lan%d", "lan0"}, {"lan%d", "lan1"}, {"x", "x"},
		{"exactly-15-long", "exactly-15-long"}, {"a[5]", "a[5]"}, {"a%d%", ""}, {"%s", ""},
		{"sixteen-is-long.", ""}, {"a/b", ""}, {"..", ""}, {"a b", ""}, {"a\x00b", ""}, {"lo", ""},
	} {
		l, err := open(t, ns, tap.Driver{}, test.arg, link.Settings{})
		if test.want == "" {
			if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "interface") {
				t.Errorf("%q: %v", test.arg, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.arg, err)
			continue
		}
		defer l.Close()
		if got := l.Caps().Address; got != "tap://"+test.want {
			t.Errorf("%q became %s, want %s", test.arg, got, test.want)
		}
		ip(t, ns, "ip link show dev "+test.want)
	}
	if _, err := open(t, ns, tap.Driver{}, "x", link.Settings{}); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a second time: %v", err)
	}
}

// TestDeviceFile opens devices where the file is missing or may not be used.
func TestDeviceFile(t *testing.T) {
	ns := namespace(t)
	for path, test := range map[string]struct {
		kind error
		text string
	}{
		"/nonexistent/tun": {fs.ErrNotExist, "modprobe tun"},
		"/dev/null":        {syscall.ENOTTY, "attach"},
	} {
		restore := tap.SetDevicePath(path)
		_, err := open(t, ns, tap.Driver{}, "x", link.Settings{})
		restore()
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestDown sends while the interface is down, and after it was set up.
func TestDown(t *testing.T) {
	ns := namespace(t)
	l := mustOpen(t, ns, tap.Driver{}, "lan0")
	for _, noWait := range []bool{false, true} {
		n, _, err := l.Send(link.Tx{Frames: [][]byte{testFrame(60, 1)}, NoWait: noWait})
		if n != 0 || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "ip link set dev lan0 up") {
			t.Errorf("%d sent, %v", n, err)
		}
	}
	if l.Err() != nil {
		t.Errorf("the link has ended: %v", l.Err())
	}
	ip(t, ns, "ip link set dev lan0 up")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", false)
	send(t, l, testFrame(60, 2))
	if got, err := p.Recv(); err != nil || !bytes.Equal(got, testFrame(60, 2)) {
		t.Errorf("received %x, %v", got, err)
	}
}

// TestRemoved removes the interface while a receive waits, and while nothing does.
func TestRemoved(t *testing.T) {
	for _, waiting := range []bool{true, false} {
		ns := namespace(t)
		l := up(t, ns, "lan0")
		received := make(chan error, 1)
		if waiting {
			go func() {
				_, err := recvOne(l)
				received <- err
			}()
		}
		ip(t, ns, "ip link del dev lan0")
		<-l.Done()
		cause := l.Err()
		if !errors.Is(cause, link.ErrHangup) || !strings.Contains(cause.Error(), "lan0 was removed") {
			t.Errorf("waiting %v: %v", waiting, cause)
		}
		if waiting {
			if err := <-received; err != cause {
				t.Errorf("Recv: %v", err)
			}
		}
		_, err := recvOne(l)
		_, _, err2 := l.Send(link.Tx{Frames: [][]byte{testFrame(60, 1)}})
		_, _, err3 := l.Send(link.Tx{Frames: [][]byte{testFrame(60, 1)}, NoWait: true})
		for _, err := range []error{err, err2, err3, l.AwaitRoom()} {
			if err != cause {
				t.Errorf("waiting %v: after the end: %v, want %v", waiting, err, cause)
			}
		}
		if err := l.SetReadDeadline(time.Now()); err != nil {
			t.Errorf("SetReadDeadline: %v", err)
		}
		if _, err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := recvOne(l); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Recv after Close: %v", err)
		}
	}
}

// TestRenamed has other changes of interfaces end nothing.
func TestRenamed(t *testing.T) {
	ns := namespace(t)
	l := mustOpen(t, ns, tap.Driver{}, "lan0")
	ip(t, ns, "ip link set dev lan0 name lan1", "ip link set dev lan1 mtu 9000 up", "ip link add br0 type bridge", "ip link del dev br0")
	p := testpeers.OpenPacketSocket(t, ns, "lan1", false)
	if err := p.Send(testFrame(5000, 1)); err != nil {
		t.Fatal(err)
	}
	buf, sizes := make([]byte, 9014), make([]int, 1)
	if _, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); err != nil || !bytes.Equal(buf[:sizes[0]], testFrame(5000, 1)) {
		t.Errorf("%d bytes, %v", sizes[0], err)
	}
}

// TestCloseCounts has Close tell how many frames the kernel still held.
func TestCloseCounts(t *testing.T) {
	ns := namespace(t)
	l := up(t, ns, "lan0")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", false)
	for i := range 5 {
		if err := p.Send(testFrame(60+i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := recvOne(l); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Close(); n != 4 || err != nil {
		t.Errorf("%d unread, %v; want 4", n, err)
	}
	if out := ip(t, ns, "ip link"); strings.Contains(out, "lan0") {
		t.Errorf("the interface is left behind: %s", out)
	}
}

// TestWriteBuffer limits what may be under way. Frames that the kernel has passed on
// are not.
func TestWriteBuffer(t *testing.T) {
	ns := namespace(t)
	l, err := open(t, ns, tap.Driver{}, "lan0", link.Settings{WriteBuffer: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ip(t, ns, "ip link set dev lan0 up")
	for i := range 100 {
		send(t, l, testFrame(1514, byte(i)))
	}
	if err := l.AwaitRoom(); err != nil {
		t.Error(err)
	}
}

// TestAllocations: a frame that is sent and one that is received allocate nothing.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ns := namespace(t)
	ip(t, ns, "ip link add br0 type bridge mcast_snooping 0", "ip link set dev br0 up")
	a, b := mustOpen(t, ns, tap.Driver{}, "a"), mustOpen(t, ns, tap.Driver{}, "b")
	ip(t, ns, "ip link set dev a master br0 up", "ip link set dev b master br0 up")
	for _, headers := range []bool{false, true} {
		tx := link.Tx{Frames: [][]byte{testFrame(60, 1), testFrame(1514, 2)}}
		rx := link.Rx{Bufs: [][]byte{make([]byte, 2000), make([]byte, 2000)}, Sizes: make([]int, 2)}
		if headers {
			tx.Headers, rx.Headers = make([]frame.VNetHeader, 2), make([]frame.VNetHeader, 2)
		}
		n := testing.AllocsPerRun(100, func() {
			if _, _, err := a.Send(tx); err != nil {
				t.Fatal(err)
			}
			for came := 0; came < 2; {
				k, err := b.Recv(rx)
				if err != nil {
					t.Fatal(err)
				}
				came += k
			}
		})
		if n != 0 {
			t.Errorf("headers %v: %v allocations", headers, n)
		}
	}
}

// TestCloseOnExec: a program that this one starts does not keep the device.
func TestCloseOnExec(t *testing.T) {
	ns := namespace(t)
	l := mustOpen(t, ns, tap.Driver{}, "lan0")
	out, err := ns.Exec(t.Context(), "ls", "-l", "/proc/self/fd")
	if err != nil || strings.Contains(string(out), "tun") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
