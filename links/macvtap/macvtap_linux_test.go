// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package macvtap_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/macvtap"
	"github.com/go-vde/sdk/vnl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A network is a namespace with a pair of veth, v0 and v1, on which nothing is sent
// unasked, and the driver that finds its device files.
type network struct {
	*testpeers.Namespace
	macvtap.Driver
}

func newNetwork(t testing.TB) network {
	t.Helper()
	n := network{testpeers.NewNamespace(t), macvtap.Driver{Dir: t.TempDir()}}
	n.sh(t, "ip link add v0 type veth peer name v1", "ip link set dev v0 up", "ip link set dev v1 up")
	return n
}

// sh runs commands of the shell inside n.
func (n network) sh(t testing.TB, commands ...string) string {
	t.Helper()
	script := "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6\n" + strings.Join(commands, "\n")
	out, err := n.Exec(t.Context(), "sh", "-ec", script)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return string(out)
}

// add makes an interface of macvtap on v0, and its device file: the one in /dev may
// be that of another namespace's interface with the same number.
func (n network) add(t testing.TB, name string) (file string) {
	t.Helper()
	if _, err := n.Exec(t.Context(), "ip", "link", "add", "link", "v0", "name", name, "type", "macvtap", "mode", "bridge"); err != nil {
		if strings.Contains(err.Error(), "Unknown device type") || strings.Contains(err.Error(), "Operation not supported") {
			testpeers.Skip(t, "macvtap", "load the module macvtap")
		}
		t.Fatal(err)
	}
	out := n.sh(t, "ip link set dev "+name+" up",
		// What /sys shows of the network is that of the namespace in which it was mounted.
		"exec unshare --mount sh -ec 'mount -t sysfs none /sys; cat /sys/class/net/"+name+"/ifindex /sys/class/net/"+name+"/tap*/dev'")
	var index, major, minor int
	if _, err := fmt.Sscanf(out, "%d\n%d:%d\n", &index, &major, &minor); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	file = filepath.Join(n.Dir, "tap"+strconv.Itoa(index))
	if err := unix.Mknod(file, unix.S_IFCHR|0o600, int(unix.Mkdev(uint32(major), uint32(minor)))); err != nil {
		t.Fatal(err)
	}
	return file
}

// open opens an interface inside n.
func (n network) open(t testing.TB, name string) (l link.Link, err error) {
	t.Helper()
	err = n.Do(func() (err error) {
		l, err = n.Driver.Open(t.Context(), vnl.Locator{Scheme: "macvtap", Arg: name}, link.Settings{})
		return err
	})
	return l, err
}

// mustOpen is open that succeeds.
func (n network) mustOpen(t testing.TB, name string) link.Link {
	t.Helper()
	l, err := n.open(t, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// testFrame returns a frame of n bytes to everybody.
func testFrame(n int, fill byte) []byte {
	f := bytes.Repeat([]byte{fill}, n)
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, fill}, frame.EtherTypeExperimental)
	return f
}

// recvOne receives one frame without metadata.
func recvOne(l link.Link) ([]byte, error) {
	buf, sizes := make([]byte, 2000), make([]int, 1)
	_, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes})
	return buf[:min(sizes[0], len(buf))], err
}

// TestLink holds two interfaces on one veth to the promises. The one does not learn
// that the other has gone, and the kernel never has enough. They come to each other
// through a queue of the kernel that may lose frames.
func TestLink(t *testing.T) {
	n := newNetwork(t)
	names := []string{"m0", "m1"}
	for _, name := range names {
		n.add(t, name)
		n.sh(t, "ip link set dev "+name+" promisc on")
	}
	linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
		if a, err = n.open(tb, "m0"); err != nil {
			return nil, nil, err
		}
		if b, err = n.open(tb, "m1"); err != nil {
			a.Close()
			return nil, nil, err
		}
		return a, b, nil
	}, linktest.Options{Lossy: true, Unbounded: true, NoHangup: true, NoCount: true, SingleSegments: true, Reason: "the kernel takes every frame, and an interface does not tell that another one has gone"})
}

// TestFrames has frames cross between a link and the other end of the veth.
func TestFrames(t *testing.T) {
	n := newNetwork(t)
	n.add(t, "m0")
	l := n.mustOpen(t, "m0")
	if got := l.Caps(); got.Address != "macvtap://m0" || got.Offload&(link.OffloadChecksum|link.OffloadTSO) != link.OffloadChecksum|link.OffloadTSO {
		t.Errorf("%+v", got)
	}
	p := testpeers.OpenPacketSocket(t, n.Namespace, "v1", false)
	for _, size := range []int{15, 60, 1000, 1514} {
		want := testFrame(size, byte(size))
		if k, _, err := l.Send(link.Tx{Frames: [][]byte{want}}); k != 1 || err != nil {
			t.Fatal(err)
		}
		if got, err := p.Recv(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the kernel received %x, %v", size, got, err)
		}
		if err := p.Send(want); err != nil {
			t.Fatal(err)
		}
		if got, err := recvOne(l); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the link received %x, %v", size, got, err)
		}
	}
}

// TestOffload has a GSO frame cross whole, in both directions, and segmented for a
// receiver that does not ask for metadata.
func TestOffload(t *testing.T) {
	n := newNetwork(t)
	n.add(t, "m0")
	l := n.mustOpen(t, "m0")
	p := testpeers.OpenPacketSocket(t, n.Namespace, "v1", true)
	f := testFrame(54+5000, 1)
	copy(f[12:], []byte{8, 0, 0x45, 0, 0x13, 0xb0, 0, 1, 0x40, 0, 64, 6, 0x13, 0x44, 10, 0, 0, 1, 10, 0, 0, 2,
		0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0x27, 0xa5, 0, 0})
	h := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1448, CsumStart: 34, CsumOffset: 16}
	if k, _, err := l.Send(link.Tx{Frames: [][]byte{f}, Headers: []frame.VNetHeader{h}}); k != 1 || err != nil {
		t.Fatal(err)
	}
	got, err := p.Recv()
	if err != nil || len(got) != 10+len(f) || !bytes.Equal(got[10:], f) || got[1] != frame.GSOTCPv4 {
		t.Fatalf("the kernel received %d bytes, %v", len(got), err)
	}
	wire := make([]byte, 10, 10+len(f))
	h.Put(wire)
	wire = append(wire, f...)
	for range 2 {
		if err := p.Send(wire); err != nil {
			t.Fatal(err)
		}
	}
	rx := link.Rx{Bufs: [][]byte{make([]byte, 1<<16)}, Sizes: make([]int, 1), Headers: make([]frame.VNetHeader, 1)}
	if _, err := l.Recv(rx); err != nil || rx.Headers[0] != h || !bytes.Equal(rx.Bufs[0][:rx.Sizes[0]], f) {
		t.Errorf("%d bytes with %+v, %v", rx.Sizes[0], rx.Headers[0], err)
	}
	for _, want := range []int{1502, 1502, 1502, 710} {
		if got, err := recvOne(l); err != nil || len(got) != want {
			t.Errorf("%d bytes, %v, want %d", len(got), err, want)
		}
	}
}

// TestErrors opens what cannot be opened.
func TestErrors(t *testing.T) {
	n := newNetwork(t)
	file := n.add(t, "m0")
	n.add(t, "m1")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		kind error
		text string
	}{
		"":                 {syscall.EINVAL, "macvtap://IFNAME"},
		"sixteen-is-long.": {syscall.EINVAL, "15"},
		"a/b":              {syscall.EINVAL, "a/b"},
		"nosuch":           {syscall.ENODEV, `"nosuch"`},
		"v0":               {fs.ErrNotExist, "not one of macvtap"},
		"m0":               {fs.ErrNotExist, "mknod"},
	} {
		if _, err := n.open(t, name); !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%q: %v", name, err)
		}
	}
	// The file of the number is that of another interface.
	matches, err := filepath.Glob(filepath.Join(n.Dir, "tap*"))
	if err != nil || len(matches) != 1 {
		t.Fatal(matches, err)
	}
	if err := os.Link(matches[0], file); err != nil {
		t.Fatal(err)
	}
	if _, err := n.open(t, "m0"); !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), "another interface") {
		t.Errorf("the file of another interface: %v", err)
	}
}

// TestRemoved removes the interface: the kernel tells neither a receive that waits nor
// a send, and the link ends all the same.
func TestRemoved(t *testing.T) {
	n := newNetwork(t)
	n.add(t, "m0")
	l := n.mustOpen(t, "m0")
	received := make(chan error, 1)
	go func() {
		_, err := recvOne(l)
		received <- err
	}()
	n.sh(t, "ip link del dev m0")
	<-l.Done()
	cause := l.Err()
	if !errors.Is(cause, link.ErrHangup) || !strings.Contains(cause.Error(), "m0 was removed") {
		t.Errorf("%v", cause)
	}
	if err := <-received; err != cause {
		t.Errorf("Recv: %v", err)
	}
	if k, _, err := l.Send(link.Tx{Frames: [][]byte{testFrame(60, 1)}}); k != 0 || err != cause {
		t.Errorf("Send: %d, %v", k, err)
	}
}
