// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"golang.org/x/sys/unix"
)

// fakeReplies are scripts and what a client of each sees. Without a check, the client must see nothing.
var fakeReplies = []struct {
	name   string
	script testutil.FakeScript
	port   int
	check  func(*rawClient)
}{
	{"pieces", scriptPieces, 0, checkPieces},
	{"extra bytes", scriptExtraBytes, 0, checkExtraBytes},
	{"wrong family", scriptWrongFamily, 0, checkWrongFamily},
	{"no NUL", scriptNoNUL, 0, checkNoNUL},
	{"refuse", testutil.FakeRefuse, 0, checkRefused},
	{"refuse port", testutil.FakeRefusePort(7), 7, checkRefused},
	{"other port", testutil.FakeRefusePort(7), 8, checkOtherPort},
	{"silence", testutil.FakeSilence, 0, nil},
	{"silent port", testutil.FakeIgnorePort(7), 7, nil},
	{"does nothing", func(*testutil.FakeClient) {}, 0, nil},
	{"half close", scriptHalfClose, 0, checkHalfClose},
	{"no connection back", scriptNoConnectionBack, 0, checkNoConnectionBack},
}

func TestFakeReplies(t *testing.T) {
	for _, tt := range fakeReplies {
		t.Run(tt.name, func(t *testing.T) {
			s := newFake(t, tt.script)
			p := dialRaw(t, filepath.Join(s.Dir(), "ctl"))
			p.request(tt.port, "")
			if tt.check != nil {
				tt.check(p)
				return
			}
			// Silence: the script is over, and there is nothing to read.
			nextClient(t, s)
			if b, err := p.replyNow(); err != unix.EAGAIN {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

func scriptPieces(c *testutil.FakeClient) {
	c.ReadRequest()
	c.ConnectBack()
	r := c.ReplyBytes()
	c.WritePieces(r[:1], r[1:60], r[60:])
}

func checkPieces(p *rawClient) {
	var all []byte
	for _, want := range []int{1, 59, 50} {
		b, err := p.reply()
		if err != nil || len(b) != want {
			p.t.Fatalf("piece of %d bytes, %v; want %d", len(b), err, want)
		}
		all = append(all, b...)
	}
	p.connect(all)
}

func scriptExtraBytes(c *testutil.FakeClient) {
	c.ReadRequest()
	c.ConnectBack()
	c.Reply()
	c.Recv(c.Context()) // the client has connected
	c.WriteCtl([]byte("extra"))
}

func checkExtraBytes(p *rawClient) {
	b, _ := p.reply()
	p.connect(b)
	p.send(fakeFrame1)
	if b, err := p.reply(); err != nil || string(b) != "extra" {
		p.t.Errorf("%q, %v", b, err)
	}
}

func scriptWrongFamily(c *testutil.FakeClient) {
	c.ReadRequest()
	c.WriteCtl(testutil.FakeSockaddr(2, "/x"))
}

func checkWrongFamily(p *rawClient) {
	if b, err := p.reply(); err != nil || !bytes.Equal(b, rawSockaddr(2, "/x")) {
		p.t.Errorf("%q, %v", b, err)
	}
}

func scriptNoNUL(c *testutil.FakeClient) {
	c.ReadRequest()
	c.WriteCtl(testutil.FakeSockaddr(1, strings.Repeat("p", 200)))
}

func checkNoNUL(p *rawClient) {
	if b, err := p.reply(); err != nil || !bytes.Equal(b, rawSockaddr(1, strings.Repeat("p", 108))) {
		p.t.Errorf("%q, %v", b, err)
	}
}

func checkRefused(p *rawClient) {
	if b, err := p.reply(); err != io.EOF {
		p.t.Errorf("%q, %v", b, err)
	}
}

func checkOtherPort(p *rawClient) {
	b, err := p.reply()
	if err != nil {
		p.t.Fatal(err)
	}
	p.connect(b)
}

func scriptHalfClose(c *testutil.FakeClient) {
	testutil.FakeServe(c)
	c.HalfClose()
}

func checkHalfClose(p *rawClient) {
	b, _ := p.reply()
	p.connect(b)
	if _, err := p.reply(); err != io.EOF {
		p.t.Error(err)
	}
	if _, err := unix.Write(p.ctl, []byte("still heard")); err != nil {
		p.t.Error(err)
	}
}

func scriptNoConnectionBack(c *testutil.FakeClient) {
	c.ReadRequest()
	c.Reply()
	if c.Send([]byte(fakeFrame1)) == nil {
		c.CloseData()
	}
}

func checkNoConnectionBack(p *rawClient) {
	b, _ := p.reply()
	p.connect(b)
	p.send(fakeFrame1)
	if n := 1 + p.fill(); n > 64 {
		p.t.Errorf("%d frames went into the queue of a peer that is not connected", n)
	}
}
