// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/qemu"
	"github.com/go-vde/sdk/vnl"
)

// What is on the wire in the handshake of VPNKit, as the other side's tests would
// have it: written down here, not made by the package.
const (
	testUUID    = "01234567-89ab-cdef-0123-456789abcdef"
	initBytes   = "VMN3T\x16\x00\x00\x00" + "0123456789012345678901234567890123456789" // of VPNKit and its clients
	ourInit     = "VMN3T\x16\x00\x00\x00" + "0000000000000000000000000000000000000000"
	ourCommand  = "\x01" + testUUID + "\x00\x00\x00\x00"
	testMAC     = "\x02\x50\x00\x00\x00\x01"
	uuidMAC     = "\xa2\x3d\x00\x6b\xb0\x20"       // the first bytes of the UUID's SHA-256, made an address of one station
	vifResponse = "\x01\xdc\x05\x0e\x06" + testMAC // an MTU of 1500, frames of up to 1550 bytes
)

// padded returns s with zeros up to the length of a response.
func padded(s string) string { return s + strings.Repeat("\x00", 258-len(s)) }

// hyperkitFrame returns a frame behind its length.
func hyperkitFrame(f []byte) string {
	return string([]byte{byte(len(f)), byte(len(f) >> 8)}) + string(f)
}

// expect reads exactly what is wanted.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%d bytes %q, %v, want %q", n, got[:n], err, want)
	}
}

// say writes s, one byte after the other if slowly is set.
func say(t *testing.T, c net.Conn, s string, slowly bool) {
	t.Helper()
	step := len(s)
	if slowly {
		step = 1
	}
	for i := 0; i < len(s); i += step {
		if _, err := io.WriteString(c, s[i:i+step]); err != nil {
			t.Fatal(err)
		}
	}
}

// A result is that of opening a link.
type result struct {
	l   link.Link
	err error
}

// openVPNKit opens text in the background. What the handshakes say goes to told.
func openVPNKit(t *testing.T, text string, told chan<- qemu.VPNKit) <-chan result {
	opened := make(chan result, 1)
	d := qemu.Driver{OnVPNKit: func(v qemu.VPNKit) { told <- v }}
	go func() {
		l, err := d.Open(t.Context(), vnl.Parse(text), link.Settings{})
		if err == nil {
			_, _ = l.SetReadDeadline(time.Now().Add(watchdog)), l.SetWriteDeadline(time.Now().Add(watchdog))
		}
		opened <- result{l, err}
	}()
	return opened
}

// TestVPNKitClient speaks as VPNKit does, byte for byte. A frame that comes with the
// last byte of the handshake is received.
func TestVPNKitClient(t *testing.T) {
	for _, slowly := range []bool{false, true} {
		p := path(t)
		ln, err := net.Listen("unix", p)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		told := make(chan qemu.VPNKit, 1)
		opened := openVPNKit(t, "hyperkit://"+p+"[vpnkit="+testUUID+"]", told)
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(watchdog))
		expect(t, c, ourInit)
		say(t, c, initBytes, slowly)
		expect(t, c, ourCommand)
		say(t, c, padded(vifResponse)+hyperkitFrame(numbered(1)), slowly)
		r := <-opened
		if r.err != nil {
			t.Fatal(r.err)
		}
		defer r.l.Close()
		if got, want := <-told, (qemu.VPNKit{UUID: testUUID, MAC: frame.MAC{2, 0x50, 0, 0, 0, 1}, MTU: 1500}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if f := recv(t, r.l); !bytes.Equal(f, numbered(1)) {
			t.Errorf("received % x", f)
		}
		send(t, r.l, numbered(2))
		expect(t, c, hyperkitFrame(numbered(2)))
	}
}

// TestVPNKitRefused: a server that refuses, or that speaks something else, is an error
// that says so, and one that says nothing holds nobody up.
func TestVPNKitRefused(t *testing.T) {
	for name, test := range map[string]struct {
		init, response string
		says           string
		is             error
	}{
		"refused":  {initBytes, padded("\x02\x05in\nuse" + "garbage"), `refuses: "in\nus"`, nil},
		"unknown":  {initBytes, padded("\x03"), "unknown response 3", nil},
		"stranger": {"HTTP/1.1 400 Bad Request\r\n" + strings.Repeat(" ", 49), "", `begins with "HTTP/"`, nil},
		"version":  {strings.Replace(initBytes, "\x16", "\x01", 1), "", "version 1 of the handshake of VPNKit, want 22", nil},
		"closed":   {initBytes[:20], "", "handshake of VPNKit", link.ErrHangup},
	} {
		t.Run(name, func(t *testing.T) {
			p := path(t)
			ln, err := net.Listen("unix", p)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			opened := openVPNKit(t, "hyperkit://"+p+"[vpnkit="+testUUID+"]", nil)
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(watchdog))
			expect(t, c, ourInit)
			say(t, c, test.init, false)
			if test.response != "" {
				expect(t, c, ourCommand)
				say(t, c, test.response, false)
			}
			if name == "closed" {
				c.Close()
			}
			r := <-opened
			c.Close()
			if r.err == nil || !strings.Contains(r.err.Error(), test.says) || test.is != nil && !errors.Is(r.err, test.is) {
				t.Errorf("%v, want %q", r.err, test.says)
			}
		})
	}
}

// TestVPNKitSilent: a server that says nothing does not hold up Open longer than the
// context.
func TestVPNKitSilent(t *testing.T) {
	p := path(t)
	ln, err := net.Listen("unix", p)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err = (qemu.Driver{}).Open(ctx, vnl.Parse("hyperkit://"+p+"[vpnkit]"), link.Settings{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestVPNKitServer speaks as hyperkit does, byte for byte: the machine gets the same
// MAC address each time. One that speaks something else gets nothing, and its place is
// that of the next.
func TestVPNKitServer(t *testing.T) {
	p := path(t)
	told := make(chan qemu.VPNKit, 10)
	r := <-openVPNKit(t, "hyperkit://"+p+"[server/vpnkit]", told)
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.l.Close()
	dial := func(init string) net.Conn {
		c, err := net.Dial("unix", p)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(watchdog))
		say(t, c, init, false)
		return c
	}
	end := func(c net.Conn) {
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("%q, %v, want the end", b, err)
		}
		c.Close()
	}
	end(dial(strings.Repeat("x", 49)))
	c := dial(strings.Replace(initBytes, "\x16", "\x15", 1))
	expect(t, c, ourInit) // which says our version
	end(c)
	c = dial(initBytes)
	expect(t, c, ourInit)
	say(t, c, "\x06"+testUUID+"\x00\x00\x00\x00", false)
	expect(t, c, padded("\x02\x11unknown command 6"))
	end(c)

	response := padded("\x01\xdc\x05\xee\x05" + uuidMAC)
	for i, command := range []string{ourCommand, "\x08" + testUUID + "\x02\x41\xa8\xc0"} {
		c := dial(initBytes)
		expect(t, c, ourInit)
		say(t, c, command+hyperkitFrame(numbered(i)), i == 1)
		expect(t, c, response)
		if f := recv(t, r.l); !bytes.Equal(f, numbered(i)) {
			t.Errorf("received % x", f)
		}
		send(t, r.l, numbered(7))
		expect(t, c, hyperkitFrame(numbered(7)))
		if v := <-told; v.UUID != testUUID || string(v.MAC[:]) != uuidMAC || v.MTU != 1500 {
			t.Errorf("%+v", v)
		}
		c.Close()
		await(t, r.l, false)
	}
	// A client that says nothing but zeros for its UUID gets one.
	c = dial(initBytes)
	defer c.Close()
	expect(t, c, ourInit)
	say(t, c, "\x01"+strings.Repeat("\x00", 40), false)
	if v := <-told; len(v.UUID) != 36 || v.MAC == (frame.MAC{}) || v.MAC.IsGroup() {
		t.Errorf("%+v", v)
	}
}

// TestVPNKitLink holds both ends of ours to what is promised of every link; the client
// reconnects with the UUID that it had.
func TestVPNKitLink(t *testing.T) {
	t.Parallel()
	linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
		p := path(tb)
		server := mustOpen(tb, "hyperkit://"+p+"[server/vpnkit]")
		client := mustOpen(tb, "hyperkit://"+p+"[vpnkit]")
		await(tb, server, true)
		for _, l := range []link.Link{client, server} {
			_, _ = l.SetReadDeadline(time.Time{}), l.SetWriteDeadline(time.Time{})
		}
		return client, server, nil
	}, linktest.Options{NoHangup: true, Down: true, Reason: "a server waits for the next peer"})

	p := path(t)
	told := make(chan qemu.VPNKit, 2)
	server := mustOpen(t, "hyperkit://"+p+"[server/vpnkit]")
	r := <-openVPNKit(t, "hyperkit://"+p+"[reconnect/vpnkit]", told)
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.l.Close()
	first := <-told
	server.Close()
	server = mustOpen(t, "hyperkit://"+p+"[server/vpnkit]")
	if second := <-told; second != first || len(first.UUID) != 36 {
		t.Errorf("%+v, and then %+v", first, second)
	}
	exchange(t, r.l, server)
}
