// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"errors"
	"io/fs"
	"net"
	"slices"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A seqReader is a method that receives frames: read returns the numbers of the next n.
type seqReader struct {
	name string
	read func(t *testing.T, c *vde.Conn, n int) []int
}

var seqReaders = []seqReader{
	{"Read", func(t *testing.T, c *vde.Conn, n int) (seqs []int) {
		buf := make([]byte, 9234)
		for range n {
			k, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, conntest.Seq(buf[:k]))
		}
		return seqs
	}},
	{"ReadBatch", func(t *testing.T, c *vde.Conn, n int) (seqs []int) {
		for len(seqs) < n {
			bufs := [][]byte{make([]byte, 9234), make([]byte, 9234), make([]byte, 9234)}
			k, err := c.ReadBatch(bufs)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range bufs[:k] {
				seqs = append(seqs, conntest.Seq(b))
			}
		}
		return seqs
	}},
	{"Frames", func(t *testing.T, c *vde.Conn, n int) (seqs []int) {
		for range n {
			f := conntest.Await(t, "a frame", c.Frames())
			seqs = append(seqs, conntest.Seq(f.View()))
			f.Release()
		}
		return seqs
	}},
}

// TestOpenInjection: a process that may write to the data socket can put datagrams
// into its queue before it is connected. Of what is there then, only what the switch
// itself has sent counts.
func TestOpenInjection(t *testing.T) {
	for _, reader := range seqReaders {
		t.Run(reader.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			var scriptErr error
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				c.ReadRequest()
				c.ConnectBack()
				c.Bind()
				scriptErr = errors.Join(
					c.Inject(conntest.Frame(60, 901)), c.Send(conntest.Frame(60, 1)), c.Send(conntest.Frame(60, 2)),
					c.Inject(conntest.Frame(60, 902)), c.Inject(nil), c.Inject([]byte("x")), c.Send(conntest.Frame(60, 3)),
					c.Send(nil), c.Send([]byte("runt")), c.Send(conntest.Frame(9500, 4)),
				)
				c.Reply()
			})
			c := conntest.Open(t, sw.VNL())
			client := conntest.Next(t, sw)
			if err := errors.Join(scriptErr, client.Err()); err != nil {
				t.Fatal(err)
			}
			if s := c.Stats(); s != (vde.Stats{RxForeign: 4}) {
				t.Errorf("at first: %+v", s)
			}
			conntest.Send(t, client, 5, 6)
			if got := reader.read(t, c, 5); !slices.Equal(got, []int{1, 2, 3, 5, 6}) {
				t.Errorf("received %v", got)
			}
			s := c.Stats()
			if s.RxForeign != 4 || s.RxFrames != 5 || s.RxBytes != 300 || s.RxEmpty != 1 || s.RxRunts != 1 || s.RxTruncated != 1 || s.RxDiscarded != 0 {
				t.Errorf("in the end: %+v", s)
			}
			// Now the kernel refuses foreign datagrams; the name is gone anyway.
			if err := client.Inject(conntest.Frame(60, 903)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a foreign datagram: %v", err)
			}
		})
	}
}

// TestOpenInjectionFillsQueue: a queue full of foreign datagrams does not keep the
// client from joining.
func TestOpenInjectionFillsQueue(t *testing.T) {
	injected := 0
	var full error
	sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		for ; full == nil; injected++ {
			full = c.Inject(conntest.Frame(60, 900))
		}
		c.ConnectBack()
		c.Reply()
	})
	c := conntest.Open(t, sw.VNL())
	client := conntest.Next(t, sw)
	if injected--; injected < 1 {
		t.Fatalf("injected %d: %v", injected, full)
	}
	conntest.Works(t, c, client)
	if s := c.Stats(); s.RxForeign != uint64(injected) {
		t.Errorf("injected %d, counted %d", injected, s.RxForeign)
	}
}

// TestOpenFramesBeforeConnectUnread: Close counts frames that the switch sent before
// the socket was connected and that nobody has read.
func TestOpenFramesBeforeConnectUnread(t *testing.T) {
	sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.ConnectBack()
		c.Bind()
		c.Send(conntest.Frame(60, 1))
		c.Send(conntest.Frame(60, 2))
		c.Reply()
	})
	c := conntest.Open(t, sw.VNL())
	client := conntest.Next(t, sw)
	conntest.Send(t, client, 3)
	client.Hangup()
	conntest.Expect(t, c, 1)
	c.Close()
	if s := c.Stats(); s.RxFrames != 1 || s.RxDiscarded != 2 || s.RxForeign != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := c.Read(make([]byte, 100)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}
