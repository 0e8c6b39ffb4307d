// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	name    string // data socket's, chosen if empty
	foreign bool   // name is not bound by this plug
	request func(path string) []byte
	slow    bool // send the request in single bytes
}

var plugCount int

// plug connects to the switch in dir; what it got is in the result.
func plug(t *testing.T, dir string, o plugOptions) *rawPlug {
	t.Helper()
	p := plugData(t, dir, o)
	if o.request == nil {
		o.request = v3(0, 0)
	}
	p.ctl = dialControl(t, dir)
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

// dialControl connects to the control socket in dir until the test ends.
func dialControl(t *testing.T, dir string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, "ctl"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
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
	p.ctl.SetReadDeadline(time.Now().Add(long))
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
