// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"golang.org/x/sys/unix"
)

// A rawClient is a client made of system calls, each blocking with a time limit. It
// shares no code with the fake switch, which could otherwise make the same mistakes.
type rawClient struct {
	t         *testing.T
	ctl, data int
	path      string // its data socket's name; removed by connect
}

var rawClients atomic.Int64

// uninterrupted repeats a call that the Go runtime's signals interrupted: a socket with
// a time limit is not restarted.
func uninterrupted(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

func dialRaw(t *testing.T, ctlPath string) *rawClient {
	t.Helper()
	ctl, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	data, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &rawClient{t: t, ctl: ctl, data: data}
	t.Cleanup(p.close)
	for _, fd := range []int{ctl, data} {
		limit := unix.Timeval{Sec: 10}
		if err := errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)); err != nil {
			t.Fatal(err)
		}
	}
	if err := uninterrupted(func() error { return unix.Connect(ctl, &unix.SockaddrUnix{Name: ctlPath}) }); err != nil {
		t.Fatal(err)
	}
	p.path = filepath.Join(filepath.Dir(ctlPath), fmt.Sprintf(".%05d-%05d", os.Getpid(), rawClients.Add(1)))
	if err := errors.Join(unix.Fchmod(data, 0o600), unix.Bind(data, &unix.SockaddrUnix{Name: p.path}), unix.Chmod(p.path, 0o640)); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return p
}

func (p *rawClient) close() {
	if p.ctl >= 0 {
		unix.Close(p.ctl)
		unix.Close(p.data)
	}
	p.ctl, p.data = -1, -1
}

func nativeWords(words ...uint32) (b []byte) {
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

func rawSockaddr(family uint16, path string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, family)
	b = append(b, path...)
	return append(b, make([]byte, 110-len(b))...)
}

func (p *rawClient) request(port int, description string) {
	p.t.Helper()
	b := slices.Concat(nativeWords(0xfeedface, 3, uint32(port)<<8), rawSockaddr(1, p.path), []byte(description))
	if _, err := unix.Write(p.ctl, b); err != nil {
		p.t.Fatal(err)
	}
}

// reply reads the control socket once; io.EOF is end of file.
func (p *rawClient) reply() ([]byte, error) {
	b, n := make([]byte, 256), 0
	err := uninterrupted(func() (err error) { n, err = unix.Read(p.ctl, b); return err })
	if err == nil && n == 0 {
		err = io.EOF
	}
	return b[:max(n, 0)], err
}

func (p *rawClient) connect(reply []byte) {
	p.t.Helper()
	if len(reply) != 110 || !bytes.Equal(reply[:2], rawSockaddr(1, "")[:2]) {
		p.t.Fatalf("reply %q", reply)
	}
	path, _, _ := strings.Cut(string(reply[2:]), "\x00")
	if err := unix.Connect(p.data, &unix.SockaddrUnix{Name: path}); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Remove(p.path); err != nil {
		p.t.Fatal(err)
	}
}

func joinRaw(t *testing.T, s *testutil.FakeSwitch) *rawClient {
	t.Helper()
	p := dialRaw(t, filepath.Join(s.Dir(), "ctl"))
	p.request(0, "plug")
	r, err := p.reply()
	if err != nil {
		t.Fatal(err)
	}
	p.connect(r)
	return p
}

func (p *rawClient) send(b string) {
	p.t.Helper()
	if err := p.trySend(b, 0); err != nil {
		p.t.Fatal(err)
	}
}

func (p *rawClient) trySend(b string, flags int) error {
	return uninterrupted(func() error { return unix.Sendto(p.data, []byte(b), flags, nil) })
}

func (p *rawClient) recv() string {
	p.t.Helper()
	b, n := make([]byte, 1<<16), 0
	err := uninterrupted(func() (err error) { n, _, err = unix.Recvfrom(p.data, b, 0); return err })
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b[:n])
}

// queued receives without waiting until nothing is left.
func (p *rawClient) queued() (frames []string) {
	b := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(p.data, b, unix.MSG_DONTWAIT)
		if err != nil {
			return frames
		}
		frames = append(frames, string(b[:n]))
	}
}

func (p *rawClient) replyNow() ([]byte, error) {
	b := make([]byte, 256)
	n, _, err := unix.Recvfrom(p.ctl, b, unix.MSG_DONTWAIT)
	return b[:max(n, 0)], err
}

// fill sends without waiting until the kernel refuses.
func (p *rawClient) fill() (n int) {
	p.t.Helper()
	for ; ; n++ {
		err := p.trySend(fakeFrame1, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return n
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}
