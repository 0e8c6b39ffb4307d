// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A rawPlug is a client made by hand, byte for byte.
type rawPlug struct {
	t    *testing.T
	ctl  *net.UnixConn
	data int
	name string // of the data socket, '@' for an abstract one
	peer string // from the reply, empty if there was none
}

// plugOptions say how a rawPlug differs from a good client.
type plugOptions struct {
	socket  string // ctl if empty
	name    string // data socket's, chosen if empty
	foreign bool   // name is not bound by this plug
	request func(path string) []byte
	slow    bool // send the request in single bytes
}

var plugCount int

// request builds requests: words are native, and the address is that of path.
func request(path, description string, words ...uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return append(sockaddr(b, path), description...)
}

func sockaddr(b []byte, path string) []byte {
	b = binary.NativeEndian.AppendUint16(b, unix.AF_UNIX)
	name := make([]byte, 108)
	copy(name, path)
	if path[0] == '@' {
		name[0] = 0
	}
	return append(b, name...)
}

const magic = 0xfeedface

func v3(kind, port uint32) func(string) []byte {
	return func(path string) []byte { return request(path, "probe", magic, 3, port<<8|kind) }
}

func v1(kind uint32) func(string) []byte {
	return func(path string) []byte {
		b := append(request(path, "", magic, kind)[:8], 1, 2, 3, 4, 5, 6)
		return append(sockaddr(b, path), "old probe"...)
	}
}

// plug connects to the switch in dir; what it got is in the result.
func plug(t *testing.T, dir string, o plugOptions) *rawPlug {
	t.Helper()
	p := plugData(t, dir, o)
	if o.request == nil {
		o.request = v3(0, 0)
	}
	if o.socket == "" {
		o.socket = "ctl"
	}
	ctl, err := net.Dial("unix", filepath.Join(dir, o.socket))
	if err != nil {
		t.Fatal(err)
	}
	p.ctl = ctl.(*net.UnixConn)
	t.Cleanup(func() { p.ctl.Close() })
	r := o.request(p.name)
	for len(r) > 0 {
		n := len(r)
		if o.slow {
			n = 1
		}
		if _, err := p.ctl.Write(r[:n]); err != nil {
			t.Fatal(err)
		}
		r = r[n:]
	}
	reply := p.read(110)
	if len(reply) == 0 {
		return p
	}
	if len(reply) != 110 || binary.NativeEndian.Uint16(reply) != unix.AF_UNIX {
		t.Fatalf("reply of %d bytes: %x", len(reply), reply)
	}
	path, padding, _ := bytes.Cut(reply[2:], []byte{0})
	if len(bytes.Trim(padding, "\x00")) > 0 {
		t.Errorf("the reply's padding is not zero: %q", padding)
	}
	p.peer = string(path)
	if err := syscall.Connect(p.data, &syscall.SockaddrUnix{Name: p.peer}); err != nil {
		t.Fatal(err)
	}
	return p
}

// plugData makes the plug with its data socket alone.
func plugData(t *testing.T, dir string, o plugOptions) *rawPlug {
	t.Helper()
	plugCount++
	p := &rawPlug{t: t, name: o.name, data: -1}
	if p.name == "" {
		p.name = fmt.Sprintf("%s/.%05d-%05d", dir, os.Getpid(), plugCount)
	}
	if !o.foreign {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		p.data = fd
		t.Cleanup(p.closeData)
		if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: p.name}); err != nil {
			t.Fatal(err)
		}
		if p.name[0] != '@' {
			t.Cleanup(func() { os.Remove(p.name) })
		}
	}
	return p
}

// read reads up to n bytes from ctl: fewer mean its end.
func (p *rawPlug) read(n int) []byte {
	p.t.Helper()
	p.ctl.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, n)
	k, err := io.ReadFull(p.ctl, b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("ctl stays open after %d bytes", k)
	}
	return b[:k]
}

// ended waits for the end of ctl.
func (p *rawPlug) ended() {
	p.t.Helper()
	if b := p.read(1); len(b) > 0 {
		p.t.Fatalf("the switch says %q", b)
	}
}

func (p *rawPlug) closeData() {
	if p.data >= 0 {
		unix.Close(p.data)
		p.data = -1
	}
}

func (p *rawPlug) close() {
	p.closeData()
	p.ctl.Close()
}

func (p *rawPlug) send(f []byte) {
	p.t.Helper()
	if err := unix.Send(p.data, f, unix.MSG_DONTWAIT); err != nil {
		p.t.Fatal(err)
	}
}

// recv waits for a frame; it returns nil if none comes within d.
func (p *rawPlug) recv(d time.Duration) []byte {
	p.t.Helper()
	tv := unix.NsecToTimeval(int64(d))
	if err := unix.SetsockoptTimeval(p.data, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, 70000)
	for {
		n, _, err := unix.Recvfrom(p.data, b, 0)
		switch err {
		case nil:
			return b[:n]
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			p.t.Fatal(err)
		}
	}
}

func (p *rawPlug) expect(f []byte) {
	p.t.Helper()
	if got := p.recv(long); !bytes.Equal(got, f) {
		p.t.Fatalf("got  %x\nwant %x", got, f)
	}
}

// active returns the numbers of the ports with an endpoint.
func active(sw *vswitch.Switch) (list []int) {
	for _, p := range sw.Ports() {
		if p.Active() {
			list = append(list, p.Number)
		}
	}
	return list
}

// start returns a switch served in dir.
func start(t *testing.T, cfg vswitch.Config) (sw *vswitch.Switch, dir string) {
	t.Helper()
	testutil.NoLeaks(t)
	sw = vswitch.New(cfg)
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	return sw, serve(t, sw)
}

// docs/spec/vde-protocol.md, section 9: what each kind of request gets, and that
// refusals are answered at once by the end of the stream.
func TestRequests(t *testing.T) {
	sw, dir := start(t, vswitch.Config{NumPorts: 31})
	abstract := "@" + strings.Repeat("n", 40) + fmt.Sprint(os.Getpid()) + strings.Repeat("\x00", 107)
	missing := filepath.Join(dir, ".missing")
	file := filepath.Join(testutil.ShortDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := func(n int) func(string) []byte {
		return func(path string) []byte { return request(path, strings.Repeat("d", n-122), magic, 3, 0) }
	}
	for _, test := range []struct {
		name string
		o    plugOptions
		port int // -1: refused
		desc string
	}{
		{"any port", plugOptions{}, 1, "probe"},
		{"port 5", plugOptions{request: v3(0, 5)}, 5, "probe"},
		{"highest port", plugOptions{request: v3(0, 31)}, 31, "probe"},
		{"port too high", plugOptions{request: v3(0, 32)}, -1, ""},
		{"port 9999", plugOptions{request: v3(0, 9999)}, -1, ""},
		{"port field ffffff", plugOptions{request: v3(0, 0xffffff)}, 0, "probe"},
		{"port 0", plugOptions{request: v3(1, 0)}, 0, "probe"},
		{"port 0 with port bits", plugOptions{request: v3(1, 7)}, 0, "probe"},
		{"kind 2", plugOptions{request: v3(2, 0)}, -1, ""},
		{"magic", plugOptions{request: func(p string) []byte { return request(p, "", 1, 3, 0) }}, -1, ""},
		{"version 2", plugOptions{request: func(p string) []byte { return request(p, "", magic, 2, 0) }}, -1, ""},
		{"version 4", plugOptions{request: func(p string) []byte { return request(p, "", magic, 4, 0) }}, -1, ""},
		{"version 1", plugOptions{request: v1(0)}, 1, "old probe"},
		{"version 1, port 0", plugOptions{request: v1(1)}, 0, "old probe"},
		{"unreachable data path", plugOptions{foreign: true, name: missing}, -1, ""},
		{"data path no socket", plugOptions{foreign: true, name: file}, -1, ""},
		{"relative data path", plugOptions{foreign: true, name: "relative"}, -1, ""},
		{"abstract data name", plugOptions{name: abstract[:108]}, 1, "probe"},
		{"no description", plugOptions{request: long(122)}, 1, ""},
		{"256 bytes", plugOptions{request: long(256)}, 1, strings.Repeat("d", 134)},
		{"257 bytes", plugOptions{request: long(257)}, -1, ""},
		{"hostile description", plugOptions{request: func(p string) []byte {
			return request(p, "a\n1000 Success\x1b[2J\xff", magic, 3, 0)
		}}, 1, "a?1000 Success?[2J?"},
		{"description with a NUL", plugOptions{request: func(p string) []byte { return request(p, "a\x00b", magic, 3, 0) }}, 1, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := plug(t, dir, test.o)
			if test.port < 0 {
				if p.peer != "" {
					t.Fatalf("accepted as %s", p.peer)
				}
				p.close()
				return
			}
			if p.peer == "" {
				t.Fatal("refused")
			}
			ports := sw.Ports()
			i := slices.IndexFunc(ports, func(i vswitch.PortInfo) bool { return i.Active() })
			if got := ports[i]; got.Number != test.port || got.Endpoints[0].Description != test.desc ||
				got.Endpoints[0].UID != uint32(os.Geteuid()) || got.Endpoints[0].PID != int32(os.Getpid()) {
				t.Errorf("port %+v, want port %d, description %q", got, test.port, test.desc)
			}
			if want := fmt.Sprintf("%s/%03d.", dir, test.port); !strings.HasPrefix(p.peer, want) {
				t.Errorf("data socket %s, want %s…", p.peer, want)
			}
			p.close()
			until(t, "endpoint pulled", func() bool { return len(active(sw)) == 0 })
			until(t, "data socket removed", func() bool { _, err := os.Lstat(p.peer); return errors.Is(err, fs.ErrNotExist) })
		})
	}
}

// docs/spec/vde-protocol.md, section 10, and
// docs/spec/vde-protocol.md, section 15, items 5, 7 and 13: whatever comes on ctl and
// however, no endpoint outlives its stream, and no byte of one client gets into the
// request of another.
func TestControlStream(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	gone := func(t *testing.T) {
		t.Helper()
		until(t, "all endpoints pulled", func() bool { return len(active(sw)) == 0 })
	}
	t.Run("garbage", func(t *testing.T) {
		p := plug(t, dir, plugOptions{})
		p.ctl.Write([]byte("x"))
		p.ended()
		gone(t)
	})
	t.Run("second request", func(t *testing.T) {
		p := plug(t, dir, plugOptions{})
		q := plugData(t, dir, plugOptions{})
		p.ctl.Write(v3(0, 0)(q.name))
		p.ended()
		gone(t)
	})
	t.Run("half-close", func(t *testing.T) {
		p := plug(t, dir, plugOptions{})
		p.ctl.CloseWrite()
		p.ended()
		gone(t)
	})
	t.Run("byte by byte", func(t *testing.T) {
		p := plug(t, dir, plugOptions{slow: true, request: func(path string) []byte { return request(path, "", magic, 3, 0) }})
		if p.peer == "" {
			t.Error("refused")
		}
		p.close()
		gone(t)
	})
	t.Run("short request", func(t *testing.T) {
		first := plug(t, dir, plugOptions{})
		if first.peer == "" {
			t.Fatal("refused")
		}
		second := plugData(t, dir, plugOptions{})
		ctl, err := net.Dial("unix", dir+"/ctl")
		if err != nil {
			t.Fatal(err)
		}
		second.ctl = ctl.(*net.UnixConn)
		ctl.Write(v3(0, 0)(second.name)[:12])
		second.ctl.CloseWrite()
		second.ended()
		ctl.Close()
		first.close()
		gone(t)
	})
	t.Run("close while others join", func(t *testing.T) {
		idle, err := net.Dial("unix", dir+"/ctl")
		if err != nil {
			t.Fatal(err)
		}
		p := plug(t, dir, plugOptions{})
		idle.Close()
		p.close()
		gone(t)
	})
	if s := sw.Stats().Serve; s.TrailingBytes != 2 || s.Silent < 2 {
		t.Errorf("%+v", s)
	}
}

// Frames: sizes, several endpoints on one port, no flush when a port opens, moves at
// once, strangers kept out.
func TestFrames(t *testing.T) {
	bc := frame.Broadcast()
	t.Run("sizes", func(t *testing.T) {
		sw, dir := start(t, vswitch.Config{})
		a, b := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
		for _, n := range []int{0, 1, 13, 9235, 20000} {
			a.send(testFrame(bc, macA, n, 1))
		}
		for _, n := range []int{14, 20, 59, 60, 1514, 1518, 1519, 9234} {
			a.send(testFrame(bc, macA, n, byte(n)))
			b.expect(testFrame(bc, macA, n, byte(n)))
		}
		want := vswitch.InDropped{Empty: 1, Runt: 2, Giant: 2}
		until(t, "counted", func() bool { return sw.Stats().Ports[0].In.Frames == 13 })
		if got := sw.Stats().Ports[0].In; got.Dropped != want || got.Forwarded != 8 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("65550 bytes", func(t *testing.T) {
		_, dir := start(t, vswitch.Config{MaxFrameSize: vswitch.MaxFrameSizeLimit})
		a, b := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
		f := testFrame(bc, macA, vswitch.MaxFrameSizeLimit, 7)
		a.send(f)
		b.expect(f)
	})
	t.Run("shared port", func(t *testing.T) {
		sw, dir := start(t, vswitch.Config{})
		a, b, c := plug(t, dir, plugOptions{request: v3(0, 3)}), plug(t, dir, plugOptions{request: v3(0, 3)}), plug(t, dir, plugOptions{})
		f := testFrame(bc, macA, 60, 1)
		a.send(f)
		c.expect(f)
		f = testFrame(macA, macC, 60, 2)
		c.send(f)
		a.expect(f)
		b.expect(f) // and so the twin did not get the first one
		if got := active(sw); !slices.Equal(got, []int{1, 3}) {
			t.Errorf("active ports %v", got)
		}
		a.close()
		until(t, "one endpoint", func() bool { return len(sw.Ports()[1].Endpoints) == 1 })
		c.send(f) // the station stays, for its port does
		b.expect(f)
	})
	t.Run("no flush, move at once", func(t *testing.T) {
		_, dir := start(t, vswitch.Config{})
		a, b := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
		f := testFrame(bc, macA, 60, 1)
		a.send(f)
		b.expect(f)
		c := plug(t, dir, plugOptions{})
		one, two, all := testFrame(macA, macB, 60, 2), testFrame(macA, macB, 60, 3), testFrame(bc, macB, 60, 4)
		b.send(one)
		b.send(all)
		a.expect(one)
		a.expect(all)
		c.expect(all) // not one
		f = testFrame(macB, macA, 60, 5)
		c.send(f) // A moves
		b.expect(f)
		b.send(two)
		b.send(all)
		c.expect(two)
		c.expect(all)
		a.expect(all)
	})
	t.Run("strangers", func(t *testing.T) {
		_, dir := start(t, vswitch.Config{})
		a := plug(t, dir, plugOptions{})
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: a.peer}); err != unix.EPERM {
			t.Errorf("a stranger connects to %s: %v", a.peer, err)
		}
	})
	t.Run("data socket closed", func(t *testing.T) {
		sw, dir := start(t, vswitch.Config{})
		a, b, c := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
		b.closeData()
		f := testFrame(bc, macA, 60, 1)
		for range 3 {
			a.send(f)
			c.expect(f)
		}
		if got := sw.Stats().Ports[1].Out; got.Dropped.Refused != 3 || got.Offered != 3 {
			t.Errorf("%+v", got)
		}
		if got := active(sw); len(got) != 3 {
			t.Errorf("active ports %v", got)
		}
	})
}

// All ports taken: refused at once; port numbers from 1.
func TestFullSwitch(t *testing.T) {
	sw, dir := start(t, vswitch.Config{NumPorts: 3})
	var clients []*rawPlug
	for range 3 {
		clients = append(clients, plug(t, dir, plugOptions{}))
	}
	if p := plug(t, dir, plugOptions{}); p.peer != "" {
		t.Errorf("a fourth client got %s", p.peer)
	}
	if _, err := sw.Attach(); !errors.Is(err, vswitch.ErrNoFreePort) {
		t.Errorf("Attach: %v", err)
	}
	clients[1].close()
	until(t, "a free port", func() bool { return len(active(sw)) == 2 })
	if p := plug(t, dir, plugOptions{}); !strings.HasPrefix(filepath.Base(p.peer), "002.") {
		t.Errorf("got %s", p.peer)
	}
}

// docs/spec/vde-protocol.md, section 15, items 4 and 9: refusals and silent
// connections cost nothing lasting.
func TestSilentConnections(t *testing.T) {
	sw, dir := start(t, vswitch.Config{MaxPending: 10, HandshakeTimeout: 50 * time.Millisecond})
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := files()
	var conns []net.Conn
	for range 50 {
		c, err := net.Dial("unix", dir+"/ctl")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	for range 20 {
		if p := plug(t, dir, plugOptions{request: v3(0, 9999)}); p.peer != "" {
			t.Error("port 9999 exists")
		} else {
			p.close()
		}
	}
	if p := plug(t, dir, plugOptions{}); p.peer == "" {
		t.Error("silent connections keep others out")
	} else {
		p.close()
	}
	until(t, "silent ones gone", func() bool {
		s := sw.Stats().Serve
		return s.Silent+s.Evicted == 50 && s.Refused == 20
	})
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(long))
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a silent connection got %d, %v", n, err)
		}
		c.Close()
	}
	until(t, "descriptors closed", func() bool { return files() == before })
}

// docs/spec/vde-protocol.md, section 15, items 2 and 3: identity is what the kernel says.
func TestIdentity(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID")
	sw, dir := start(t, vswitch.Config{Mode: 0o666})
	root := plugData(t, dir, plugOptions{name: dir + "/.roots"})
	if err := os.Chmod(root.name, 0o777); err != nil {
		t.Fatal(err)
	}
	plug(t, dir, plugOptions{request: v3(0, 3)}) // root's port

	mine := testutil.ShortDir(t)
	if err := os.Chmod(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	own := mine + "/own"
	for _, test := range []struct {
		name string
		port uint32
		want bool
	}{
		{own, 0, true},
		{"@" + strings.Repeat("a", 107), 0, true},
		{root.name, 0, false}, // somebody else's, though he could write to it
		{own, 3, false},       // somebody else's port
		{"@" + strings.Repeat("b", 107), 3, false},
	} {
		got, err := joinAs(65534, dir, test.name, v3(0, test.port)(test.name))
		if err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("data socket %q, port %d: accepted %v, want %v", test.name, test.port, got, test.want)
		}
	}
	if s := sw.Stats().Serve; s.Refused != 3 || s.Joined != 3 {
		t.Errorf("%+v", s)
	}
}

// joinAs sends a request as user uid, with a data socket of its own called name
// unless somebody has one there, and reports whether the switch accepted it.
func joinAs(uid int, dir, name string, request []byte) (accepted bool, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); e != 0 {
			err = e
			return
		}
		var data, ctl int
		if data, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0); err != nil {
			return
		}
		defer unix.Close(data)
		if _, e := os.Lstat(name); e != nil {
			if err = syscall.Bind(data, &syscall.SockaddrUnix{Name: name}); err != nil {
				return
			}
			if name[0] == '/' {
				defer os.Remove(name)
			}
		}
		if ctl, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
			return
		}
		defer unix.Close(ctl)
		if err = unix.Connect(ctl, &unix.SockaddrUnix{Name: dir + "/ctl"}); err != nil {
			return
		}
		if _, err = unix.Write(ctl, request); err != nil {
			return
		}
		var b [200]byte
		n, e := unix.Read(ctl, b[:])
		accepted, err = n == 110, e
	}()
	<-done
	return accepted, err
}

func TestAdmit(t *testing.T) {
	asked := make(chan vswitch.Peer, 10)
	_, dir := start(t, vswitch.Config{Admit: func(p vswitch.Peer) (int, error) {
		asked <- p
		switch p.Description {
		case "no":
			return 0, errors.New("not today")
		case "seven":
			return 7, nil
		case "minus":
			return -2, nil
		}
		return p.Port, nil
	}})
	ask := func(what string) string {
		return filepath.Base(plug(t, dir, plugOptions{request: func(p string) []byte { return request(p, what, magic, 3, 5<<8) }}).peer)
	}
	if got := ask("no"); got != "." {
		t.Errorf("no got %s", got)
	}
	if got := ask("seven"); !strings.HasPrefix(got, "007.") {
		t.Errorf("seven got %s", got)
	}
	if got := ask("as asked"); !strings.HasPrefix(got, "005.") {
		t.Errorf("as asked got %s", got)
	}
	if got := ask("minus"); got != "." {
		t.Errorf("port -2 is %s", got)
	}
	if p := <-asked; p.UID != uint32(os.Geteuid()) || p.PID != int32(os.Getpid()) || p.Port != 5 || p.Dir != dir {
		t.Errorf("%+v", p)
	}
}

// A refusal tells a client that requests before its own have been answered, as
// it does at vde_switch: package vde relies on it when a reply is long in coming.
func TestRefusalsWaitForEarlierRequests(t *testing.T) {
	deciding, decide := make(chan struct{}), make(chan struct{})
	sw, dir := start(t, vswitch.Config{Admit: func(p vswitch.Peer) (int, error) {
		if p.Port == 5 {
			close(deciding)
			<-decide
		}
		return p.Port, nil
	}})
	opened := make(chan error, 1)
	go func() {
		c, err := vde.Open(t.Context(), dir, vde.WithPort(5))
		if err == nil {
			defer c.Close()
		}
		opened <- err
	}()
	<-deciding
	ctl, err := net.Dial("unix", filepath.Join(dir, "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer ctl.Close()
	if _, err := ctl.Write(v3(0, 0)(filepath.Join(dir, ".missing"))); err != nil {
		t.Fatal(err)
	}
	until(t, "refused", func() bool { return sw.Stats().Serve.Refused > 0 })
	ctl.SetReadDeadline(time.Now().Add(short))
	if n, err := ctl.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the refusal is told before the other request was answered: %d, %v", n, err)
	}
	close(decide)
	if err := <-opened; err != nil {
		t.Error(err)
	}
	ctl.SetReadDeadline(time.Now().Add(long))
	if n, err := ctl.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("refused with %d bytes, %v", n, err)
	}
}

func TestPortGroups(t *testing.T) {
	sw, dir := start(t, vswitch.Config{PortGroups: map[string]vswitch.PortGroup{
		"lan": {First: 10, Last: 11, DefaultPort: vswitch.PortConfig{VLAN: 7}},
	}})
	for _, want := range []int{10, 11} {
		open(t, dir+"[lan]")
		if got := active(sw); got[len(got)-1] != want {
			t.Errorf("active ports %v, want %d last", got, want)
		}
	}
	if _, err := vde.Open(t.Context(), dir+"[lan]"); err == nil {
		t.Error("a third one joined a group of two")
	}
	if _, err := vde.Open(t.Context(), dir+"[nal]"); !errors.Is(err, vde.ErrNoPortGroup) {
		t.Errorf("misspelt: %v", err)
	}
	if pc, err := sw.Port(11); err != nil || pc.VLAN != 7 {
		t.Errorf("port 11 is in VLAN %d, %v", pc.VLAN, err)
	}
}

func TestModes(t *testing.T) {
	for _, test := range []struct {
		cfg            vswitch.Config
		ctl, dir, data fs.FileMode
	}{
		{vswitch.Config{}, 0o600, 0o700 | fs.ModeSetgid, 0o600},
		{vswitch.Config{Mode: 0o660}, 0o660, 0o770 | fs.ModeSetgid, 0o660},
		{vswitch.Config{Mode: 0o666}, 0o666, 0o777 | fs.ModeSetgid, 0o666},
		{vswitch.Config{DirMode: 0o755}, 0o644, 0o755, 0o644},
		{vswitch.Config{Mode: 0o600, DirMode: 0o711}, 0o600, 0o711, 0o600},
	} {
		t.Run(fmt.Sprintf("%#o-%#o", test.cfg.Mode, test.cfg.DirMode), func(t *testing.T) {
			_, dir := start(t, test.cfg)
			p := plug(t, dir, plugOptions{})
			for path, want := range map[string]fs.FileMode{dir: test.dir | fs.ModeDir, dir + "/ctl": test.ctl | fs.ModeSocket, p.peer: test.data | fs.ModeSocket} {
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode() != want {
					t.Errorf("%s has %v, want %v", path, info.Mode(), want)
				}
			}
		})
	}
}

// A dead switch's socket is taken over, a live one's is not.
func TestTakeOver(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	testutil.NoFiles(t, dir)
	for _, name := range []string{"ctl", ".ct", "001.1"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	l := listen(t, sw, dir)
	c := open(t, dir)
	for _, other := range []*vswitch.Switch{sw, vswitch.New(vswitch.Config{})} {
		if _, err := other.Listen(dir); !errors.Is(err, vswitch.ErrInUse) {
			t.Errorf("another switch: %v", err)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("the attempt ended an endpoint: %v", err)
	}
	if err := sw.Close(); err != nil {
		t.Error(err)
	}
	<-c.Context().Done()
	if err := l.Serve(t.Context()); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ctl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vswitch.New(vswitch.Config{}).Listen(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("with a file called ctl: %v", err)
	}
	os.Remove(filepath.Join(dir, "ctl"))
}

// Many switches that start at the same time in a directory with a dead socket:
// one wins, and stays reachable.
func TestStartRace(t *testing.T) {
	testutil.NoLeaks(t)
	for range 20 {
		dir := testutil.ShortDir(t)
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/ctl", Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		stale.Close()
		type result struct {
			sw  *vswitch.Switch
			l   *vswitch.Listener
			err error
		}
		results := make(chan result)
		const starters = 8
		for range starters {
			go func() {
				sw := vswitch.New(vswitch.Config{})
				l, err := sw.Listen(dir)
				results <- result{sw, l, err}
			}()
		}
		won := 0
		for range starters {
			switch r := <-results; {
			case r.err == nil:
				won++
				defer r.sw.Close()
			case !errors.Is(r.err, vswitch.ErrInUse):
				t.Error(r.err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d started", won, starters)
		}
		c, err := net.Dial("unix", dir+"/ctl")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// What ends how: Serve's context its own endpoints only, Close everything.
func TestEnds(t *testing.T) {
	testutil.NoLeaks(t)
	base := testutil.ShortDir(t)
	testutil.NoFiles(t, base)
	sw := vswitch.New(vswitch.Config{})
	inside, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	served := make(chan error, 2)
	dirs := []string{base + "/a", base + "/b"}
	for i, dir := range dirs {
		l, err := sw.Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := ctx
		if i == 1 {
			c = context.Background()
		}
		go func() { served <- l.Serve(c) }()
	}
	a, b := open(t, dirs[0]), open(t, dirs[1])
	why := errors.New("enough")
	cancel(why)
	if err := <-served; !errors.Is(err, why) {
		t.Errorf("Serve: %v", err)
	}
	<-a.Context().Done()
	if !errors.Is(a.Err(), vde.ErrHangup) || b.Err() != nil || inside.Err() != nil {
		t.Errorf("after one directory's end: %v, %v, %v", a.Err(), b.Err(), inside.Err())
	}
	if _, err := os.Lstat(dirs[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there", dirs[0])
	}
	if err := sw.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != vswitch.ErrClosed {
		t.Errorf("Serve: %v", err)
	}
	<-b.Context().Done()
	<-inside.Context().Done()
	if !errors.Is(b.Err(), vde.ErrHangup) || !errors.Is(inside.Err(), vswitch.ErrClosed) || !errors.Is(inside.Err(), vde.ErrHangup) {
		t.Errorf("after Close: %v, %v", b.Err(), inside.Err())
	}
	if _, err := sw.Attach(); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("Attach after Close: %v", err)
	}
	if _, err := sw.Listen(dirs[0]); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
}
