// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// FuzzReply has a switch answer with its right reply after some bytes of it were
// changed (by exclusive or), some cut off and some added, in two pieces, and then
// close the connection or fall silent. Open must accept exactly what leads to a
// data socket, and leave nothing in any case.
func FuzzReply(f *testing.F) {
	f.Add([]byte{}, uint8(110), []byte{}, uint8(0), false)
	f.Add([]byte{}, uint8(110), []byte("more"), uint8(55), false)
	f.Add([]byte{}, uint8(110), bytes.Repeat([]byte{7}, 300), uint8(110), true)
	f.Add([]byte{}, uint8(109), []byte{}, uint8(1), true)
	f.Add([]byte{}, uint8(60), []byte{}, uint8(2), false)
	f.Add([]byte{}, uint8(0), []byte{}, uint8(0), true)
	f.Add([]byte{1}, uint8(110), []byte{}, uint8(0), false)                       // family 0
	f.Add([]byte{0, 1}, uint8(110), []byte{}, uint8(0), false)                    // family 257
	f.Add([]byte{0, 0, '/'}, uint8(110), []byte{}, uint8(0), false)               // an abstract name
	f.Add([]byte{0, 0, '/' ^ '@'}, uint8(110), []byte{}, uint8(0), false)         // a relative one
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1}, uint8(110), []byte{}, uint8(0), false)     // another directory
	f.Add(append(make([]byte, 109), 1), uint8(110), []byte{}, uint8(0), false)    // a byte in the padding
	f.Add(bytes.Repeat([]byte{0xff}, 110), uint8(110), []byte{}, uint8(0), false) // garbage
	f.Add([]byte{}, uint8(2), bytes.Repeat([]byte("/"), 108), uint8(0), false)    // the root
	f.Add([]byte{}, uint8(2), bytes.Repeat([]byte("./"), 54), uint8(0), false)    // no end
	f.Add([]byte{}, uint8(2), make([]byte, 108), uint8(0), false)                 // no path
	// On a busy machine the switch may be slow to write; that is no refusal.
	f.Cleanup(vdeplug.SetProbeDelay(conntest.Patience))
	f.Fuzz(func(t *testing.T, change []byte, keep uint8, more []byte, cut uint8, silent bool) {
		if len(more) > 20_000 {
			return // it would not fit into the stream's buffer
		}
		reply := func(c *testutil.FakeClient) []byte {
			b := c.ReplyBytes()
			for i := range min(len(change), len(b)) {
				b[i] ^= change[i]
			}
			if b == nil {
				return nil
			}
			return append(b[:min(int(keep), len(b))], more...)
		}
		fuzzReply(t, reply, int(cut), silent)
	})
}

// fuzzReply opens a switch that answers with reply, in two pieces, of which the first
// has cut bytes.
func fuzzReply(t *testing.T, reply func(c *testutil.FakeClient) []byte, cut int, silent bool) {
	accept, wrote := false, make(chan struct{})
	sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		defer close(wrote)
		c.ReadRequest()
		b := reply(c)
		if b == nil {
			t.Error(c.Err())
			return
		}
		accept = leadsToSocket(b, filepath.Dir(c.DataPath()))
		c.WritePieces(b[:min(cut, len(b))])
		c.WriteCtl(b[min(cut, len(b)):])
		if !silent {
			c.Hangup()
		}
	}, (*testutil.FakeClient).Close)
	defer sw.Stop()

	// Open waits for a switch that has sent less than a reply and is silent.
	ctx, cancel := context.WithCancel(conntest.Watchdog(t))
	defer cancel()
	go func() {
		<-wrote
		time.AfterFunc(20*time.Millisecond, cancel)
	}()
	c, err := vde.Open(ctx, sw.VNL())
	<-wrote
	switch {
	case (err == nil) != accept && !(accept && errors.Is(err, context.Canceled)):
		t.Errorf("Open: %v; the reply leads to a socket: %v", err, accept)
	case err == nil:
		if _, err := c.Write(conntest.Frame(60, 1)); err != nil && silent {
			t.Errorf("Write: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	case c != nil:
		t.Error("a Conn and an error")
	}
	noStrays(t, sw)
}

// leadsToSocket is what the protocol says of a reply: 110 bytes, the family of
// unix sockets, and a path, up to the first NUL, to a datagram socket, or else
// its last element in the client's directory.
func leadsToSocket(b []byte, dir string) bool {
	if len(b) < 110 || binary.NativeEndian.Uint16(b) != syscall.AF_UNIX {
		return false
	}
	raw := b[2:110]
	path, _, _ := bytes.Cut(raw, []byte{0})
	name := string(path)
	switch {
	case raw[0] == 0 && bytes.Count(raw, []byte{0}) == len(raw):
		return false
	case raw[0] == 0:
		name = "@" + string(raw[1:])
	case raw[0] == '@' || len(name) > 107:
		return false // such a name cannot be handed to the kernel
	}
	err := canConnect(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = canConnect(filepath.Join(dir, filepath.Base(name)))
	}
	return err == nil
}

func canConnect(name string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		return err
	}
	return c.Close()
}
