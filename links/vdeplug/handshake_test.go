// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A watchedContext has a deadline and tells how often its end was asked for,
// which is what waiting by trying again looks like from outside.
type watchedContext struct {
	context.Context
	asked  atomic.Int32
	often  chan struct{} // closed when asked has become 5
	closed sync.Once
}

func watched(ctx context.Context) *watchedContext {
	return &watchedContext{Context: ctx, often: make(chan struct{})}
}

func (c *watchedContext) Err() error {
	if c.asked.Add(1) >= 5 {
		c.closed.Do(func() { close(c.often) })
	}
	return c.Context.Err()
}

// openEnded opens vnl and cancels its context when reached is closed.
func openEnded(t testing.TB, vnl string, reached <-chan struct{}, opts ...vde.Option) error {
	t.Helper()
	ctx, cancel := context.WithCancel(conntest.Watchdog(t))
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-reached:
			cancel()
		case <-done:
		}
	}()
	return conntest.FailsToOpen(t, ctx, vnl, opts...)
}

// A switch that hangs at some step: the end of the context ends Open, which says
// what it was waiting for, and leaves nothing.
func TestOpenHangs(t *testing.T) {
	reply := func(n int) testutil.FakeScript {
		return func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.ConnectBack()
			if b := c.ReplyBytes(); b != nil {
				c.WritePieces(b[:n])
			}
		}
	}
	for _, tt := range []struct {
		name   string
		script testutil.FakeScript
		step   string
	}{
		{"before reading the request", func(*testutil.FakeClient) {}, "at "}, // perhaps before it is sent
		{"within the request", func(c *testutil.FakeClient) { c.ReadCtl(50) }, "wait for the switch's reply at "},
		{"before the reply", testutil.FakeSilence, "wait for the switch's reply at "},
		{"after connecting back", func(c *testutil.FakeClient) { c.ReadRequest(); c.ConnectBack(); c.Bind() }, "wait for the switch's reply at "},
		{"after 1 byte of the reply", reply(1), "wait for the switch's reply at "},
		{"after 55 bytes of the reply", reply(55), "wait for the switch's reply at "},
		{"after 109 bytes of the reply", reply(109), "wait for the switch's reply at "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			reached := make(chan struct{})
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				tt.script(c)
				if c.Index == 0 {
					close(reached)
				}
			})
			err := openEnded(t, sw.VNL(), reached)
			checkOpenError(t, sw.VNL(), err, context.Canceled, tt.step+sw.Dir()+"/ctl")
			noStrays(t, sw)

			ctx, cancel := context.WithTimeout(conntest.Watchdog(t), 20*time.Millisecond)
			defer cancel()
			sw = testutil.NewFakeSwitch(t, tt.script)
			err = conntest.FailsToOpen(t, ctx, sw.VNL())
			checkOpenError(t, sw.VNL(), err, context.DeadlineExceeded, tt.step+sw.Dir()+"/ctl", "the switch is stopped, or refuses a port without a word")
			noStrays(t, sw)
		})
	}
}

// A switch whose backlog is full.
func TestOpenHangsAtAccept(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	if err := sw.Block(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(conntest.Watchdog(t))
	defer cancel()
	w := watched(ctx)
	go func() {
		<-w.often
		cancel()
	}()
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, w, sw.VNL()), context.Canceled, "connect to the control socket "+sw.Dir()+"/ctl")
	noStrays(t, sw)

	ctx, cancelTimeout := context.WithTimeout(conntest.Watchdog(t), 20*time.Millisecond)
	defer cancelTimeout()
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, ctx, sw.VNL()), context.DeadlineExceeded, "connect to the control socket "+sw.Dir()+"/ctl", "does not accept connections")
	noStrays(t, sw)

	// Who waits is let in.
	w = watched(conntest.Watchdog(t))
	unblocked := make(chan error, 1)
	go func() {
		<-w.often
		unblocked <- sw.Unblock()
	}()
	c, err := vde.Open(w, sw.VNL())
	if err := errors.Join(err, <-unblocked); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conntest.Works(t, c, conntest.Next(t, sw))
}

// Without a deadline in ctx there is a bound all the same.
func TestOpenDefaultBound(t *testing.T) {
	testutil.NoLeaks(t)
	if d := vdeplug.JoinTimeout(); d != 5*time.Second {
		t.Errorf("the default bound is %v, documented are 5 s", d)
	}
	defer vdeplug.SetJoinTimeout(20 * time.Millisecond)()
	unbounded, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer time.AfterFunc(conntest.Patience, cancel).Stop()

	sw := testutil.NewFakeSwitch(t, testutil.FakeSilence)
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, unbounded, sw.VNL()), context.DeadlineExceeded, "wait for the switch's reply")
	noStrays(t, sw)

	sw = testutil.NewFakeSwitch(t)
	if err := sw.Block(); err != nil {
		t.Fatal(err)
	}
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, unbounded, sw.VNL()), context.DeadlineExceeded, "connect to the control socket")

	// A deadline in ctx replaces it, whether it is nearer or farther.
	replied := make(chan struct{})
	sw = testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.Wait(replied)
		c.ConnectBack()
		c.Reply()
	})
	bound := time.AfterFunc(2*vdeplug.JoinTimeout(), func() { close(replied) })
	defer bound.Stop()
	c := conntest.Open(t, sw.VNL())
	conntest.Works(t, c, conntest.Next(t, sw))
}

// A switch that closes the connection, after each byte of the request.
func TestOpenClosedAtEachByte(t *testing.T) {
	testutil.NoLeaks(t)
	t.Setenv("SSH_CLIENT", "")
	const most = 130
	var scripts []testutil.FakeScript
	for n := range most + 1 {
		scripts = append(scripts, func(c *testutil.FakeClient) {
			c.ReadCtl(n)
			c.Close()
		})
	}
	for _, tt := range []struct {
		params string
		kind   error
		step   string
	}{
		{"", vde.ErrSwitchFull, "ask for a port at "},
		{"[5]", vde.ErrPortRefused, "ask for port 5 at "},
		{"[0]", vde.ErrPortRefused, "ask for port 0 at "},
	} {
		sw := testutil.NewFakeSwitch(t, scripts...)
		for n := range most + 1 {
			err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()+tt.params)
			checkOpenError(t, sw.VNL()+tt.params, err, tt.kind, tt.step+sw.Dir()+"/ctl", "closed the connection instead of replying")
			if t.Failed() {
				t.Fatalf("closed after %d bytes", n)
			}
			noStrays(t, sw)
		}
	}
}

// A reply that ends early, at each of its bytes, by the end of the connection or
// by silence.
func TestOpenReplyCutAtEachByte(t *testing.T) {
	testutil.NoLeaks(t)
	for n := range testutil.FakeSockaddrLen {
		reached := make(chan struct{})
		cut := func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.ConnectBack()
			if b := c.ReplyBytes(); b != nil {
				c.WritePieces(b[:n])
			}
		}
		sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
			cut(c)
			c.Close()
		}, func(c *testutil.FakeClient) {
			cut(c)
			close(reached)
		})
		err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL())
		if n == 0 {
			checkOpenError(t, sw.VNL(), err, vde.ErrSwitchFull)
		} else {
			checkOpenError(t, sw.VNL(), err, vde.ErrNotSwitch, "read the reply of "+sw.Dir()+"/ctl", fmt.Sprintf("reply of %d bytes instead of 110", n), "control directory")
		}
		noStrays(t, sw)
		checkOpenError(t, sw.VNL(), openEnded(t, sw.VNL(), reached), context.Canceled)
		noStrays(t, sw)
		sw.Stop()
		if t.Failed() {
			t.Fatalf("after %d bytes", n)
		}
	}
}

// Replies that are whole but not right.
func TestOpenReplyContent(t *testing.T) {
	const file, stream, gone = "file", "stream", "gone"
	for _, tt := range []struct {
		name  string
		reply func(c *testutil.FakeClient) []byte
		kind  error
		parts []string
	}{
		{"family 0", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(0, "/tmp/x") }, vde.ErrNotSwitch, []string{"family 0"}},
		{"family of IPv4", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(2, "/tmp/x") }, vde.ErrNotSwitch, []string{"family 2"}},
		{"family in the other byte order", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(256, "/tmp/x") }, vde.ErrNotSwitch, []string{"family"}},
		{"zeros", func(c *testutil.FakeClient) []byte { return make([]byte, 110) }, vde.ErrNotSwitch, nil},
		{"empty path", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, "") }, vde.ErrNotSwitch, []string{"empty"}},
		{"HTTP", func(c *testutil.FakeClient) []byte {
			return append([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), bytes.Repeat([]byte("x"), 100)...)
		}, vde.ErrNotSwitch, nil},
		{"the request", func(c *testutil.FakeClient) []byte { return c.Request().Raw }, vde.ErrNotSwitch, nil},
		{"path without an end", func(c *testutil.FakeClient) []byte {
			return testutil.FakeSockaddr(1, "/"+string(bytes.Repeat([]byte("p"), 107)))
		}, vde.ErrNotSwitch, []string{"connect to the switch's data socket"}},
		{"no such path", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, "/nowhere/001.7") }, vde.ErrNoSwitch,
			[]string{"connect to the switch's data socket /nowhere/001.7", "no such file", "went away"}},
		{"no such abstract name", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, "@vde test, nobody") }, vde.ErrNoSwitch, []string{"connection refused"}},
		{"a socket nobody has", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, filepath.Join(dirOf(c), gone)) }, vde.ErrNoSwitch, []string{"connection refused"}},
		{"a file", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, filepath.Join(dirOf(c), file)) }, vde.ErrNotSwitch, []string{"does not name a data socket"}},
		{"a stream socket", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, filepath.Join(dirOf(c), stream)) }, vde.ErrNotSwitch, []string{"does not name a data socket"}},
		{"the control socket", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, filepath.Join(dirOf(c), "ctl")) }, vde.ErrNotSwitch, nil},
		{"the directory", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, dirOf(c)) }, vde.ErrNotSwitch, nil},
		{"the root", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, "/") }, vde.ErrNotSwitch, nil},
		{"another client's data socket", func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, filepath.Join(dirOf(c), "taken")) }, vde.ErrDataDenied, []string{"not permitted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			made := make(chan struct{})
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				c.Wait(made)
				c.ReadRequest()
				c.ConnectBack()
				c.WriteCtl(tt.reply(c))
			})
			// Things a reply can lead to.
			if err := os.WriteFile(filepath.Join(sw.Dir(), file), nil, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := sw.Portgroup(stream); err != nil {
				t.Fatal(err)
			}
			if err := listenGram(filepath.Join(sw.Dir(), gone)); err != nil {
				t.Fatal(err)
			}
			// A socket that is connected to somebody else takes nothing from us.
			taken, err := net.DialUnix("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(sw.Dir(), "taken")}, &net.UnixAddr{Net: "unixgram", Name: otherSocket(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			close(made)
			checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()), tt.kind, tt.parts...)
			if names, err := sw.Strays(); err != nil || len(names) != 3 {
				t.Errorf("in the directory: %q, %v; want what was put there", names, err)
			}
		})
	}
}

// dirOf returns the directory of the switch that c is a client of.
func dirOf(c *testutil.FakeClient) string { return filepath.Dir(c.Request().Path) }

// otherSocket returns the name of a datagram socket outside any switch.
func otherSocket(t testing.TB) string {
	path := filepath.Join(testutil.ShortDir(t), "other")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return path
}

// Where its data socket is, is the switch's business.
func TestOpenReplyNamesAnySocket(t *testing.T) {
	for _, abstract := range []bool{false, true} {
		name := make(chan string, 1)
		sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.WriteCtl(testutil.FakeSockaddr(1, <-name))
		})
		var path string
		var foreign *net.UnixConn
		var err error
		if abstract {
			path = string(append([]byte("@"), testutil.FakeSockaddr(1, fmt.Sprintf("@vde test %d", os.Getpid()))[3:]...))
			foreign, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
		} else {
			foreign, path, err = sw.ForeignSocket("foreign")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer foreign.Close()
		name <- path
		c := conntest.Open(t, sw.VNL())
		if _, err := c.Write(conntest.Frame(60, 1)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if err := foreign.SetReadDeadline(time.Now().Add(conntest.Patience)); err != nil {
			t.Fatal(err)
		}
		if n, err := foreign.Read(buf); err != nil || !bytes.Equal(buf[:n], conntest.Frame(60, 1)) {
			t.Errorf("received %x, %v", buf[:n], err)
		}
		noStrays(t, sw)
	}
}

// A right reply is right however it comes, and whatever comes behind it.
func TestOpenReplyForms(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(c *testutil.FakeClient, reply []byte)
	}{
		{"byte by byte", func(c *testutil.FakeClient, reply []byte) {
			var pieces [][]byte
			for i := range reply {
				pieces = append(pieces, reply[i:i+1])
			}
			c.WritePieces(pieces...)
		}},
		{"in two halves", func(c *testutil.FakeClient, reply []byte) { c.WritePieces(reply[:55], reply[55:]) }},
		{"with garbage behind the path", func(c *testutil.FakeClient, reply []byte) {
			end := bytes.IndexByte(reply[2:], 0) + 3
			copy(reply[end:], bytes.Repeat([]byte("garbage"), 20))
			c.WriteCtl(reply)
		}},
		{"with a byte behind it", func(c *testutil.FakeClient, reply []byte) { c.WriteCtl(append(reply, 'x')) }},
		{"twice", func(c *testutil.FakeClient, reply []byte) { c.WriteCtl(append(reply, reply...)) }},
		{"with much behind it", func(c *testutil.FakeClient, reply []byte) { c.WriteCtl(append(reply, make([]byte, 50_000)...)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				c.ReadRequest()
				c.ConnectBack()
				if b := c.ReplyBytes(); b != nil {
					tt.write(c, b)
				}
			})
			c := conntest.Open(t, sw.VNL())
			conntest.Works(t, c, conntest.Next(t, sw))
			if c.Err() != nil {
				t.Error(c.Err())
			}
			noStrays(t, sw)
		})
	}
}

// Stock switches refuse some requests without a word. Open has the hour of its
// context to wait, and finds out that silence is the answer.
func TestOpenSilentRefusal(t *testing.T) {
	// What vde_switch 2.3.2 does with a port that is taken.
	vdeSwitch := func(refuse func(r *testutil.FakeRequest) bool) testutil.FakeScript {
		return func(c *testutil.FakeClient) {
			r, err := c.ReadRequest()
			switch {
			case err != nil || c.ConnectBack() != nil:
				c.Close()
			case refuse(r):
			default:
				c.Reply()
			}
		}
	}
	// A node of vdeplug4 does not answer who asks for port 0 (nor anything else
	// it does not know) and answers all others, reachable or not.
	node := func(c *testutil.FakeClient) {
		if r, err := c.ReadRequest(); err == nil && r.Kind == 0 && r.Err == nil {
			c.Reply()
		}
	}
	for _, tt := range []struct {
		name, params string
		script       testutil.FakeScript
		kind         error
		step         string
	}{
		{"port taken", "[5]", testutil.FakeIgnorePort(5), vde.ErrPortRefused, "ask for port 5 at "},
		{"port 0 of a node", "[0]", node, vde.ErrPortRefused, "ask for port 0 at "},
		{"switch full", "", vdeSwitch(func(*testutil.FakeRequest) bool { return true }), vde.ErrSwitchFull, "ask for a port at "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := testutil.NewFakeSwitch(t, tt.script)
			ctx, cancel := context.WithTimeout(conntest.Watchdog(t), time.Hour)
			defer cancel()
			defer vdeplug.SetProbeDelay(5 * time.Millisecond)()
			err := conntest.FailsToOpen(t, ctx, sw.VNL()+tt.params)
			checkOpenError(t, sw.VNL()+tt.params, err, tt.kind, tt.step+sw.Dir()+"/ctl", "does not reply, but answers others")
			noStrays(t, sw)
			requests := sw.Requests()
			if len(requests) != 2 || requests[1].Path != "/dev/null/nowhere" || requests[1].TypeWord != 0 || requests[1].Err != nil {
				t.Errorf("requests: %+v", requests)
			}
		})
	}
	t.Run("refusal by end of file", func(t *testing.T) {
		sw := testutil.NewFakeSwitch(t, testutil.FakeRefusePort(5))
		checkOpenError(t, sw.VNL()+"[5]", conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()+"[5]"), vde.ErrPortRefused, "in use by another user")
		noStrays(t, sw)
		conntest.Works(t, conntest.Open(t, sw.VNL()+"[6]"), func() *testutil.FakeClient { conntest.Next(t, sw); return conntest.Next(t, sw) }())
	})
	t.Run("no answer for anybody", func(t *testing.T) {
		testutil.NoLeaks(t)
		defer vdeplug.SetProbeDelay(time.Millisecond)()
		sw := testutil.NewFakeSwitch(t, testutil.FakeSilence)
		ctx, cancel := context.WithCancel(conntest.Watchdog(t))
		defer cancel()
		failed := make(chan error, 1)
		go func() { failed <- conntest.FailsToOpen(t, ctx, sw.VNL()+"[5]") }()
		// The second request is the question whether others are answered.
		if _, err := sw.WaitRequests(conntest.Watchdog(t), 2); err != nil {
			t.Fatal(err)
		}
		cancel()
		checkOpenError(t, sw.VNL()+"[5]", conntest.Await(t, "Open", failed), context.Canceled, "wait for the switch's reply")
		noStrays(t, sw)
	})
	t.Run("half an answer", func(t *testing.T) {
		defer vdeplug.SetProbeDelay(time.Millisecond)()
		sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.WriteCtl(make([]byte, 50))
		}, testutil.FakeRefuse)
		checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()), vde.ErrNotSwitch, "reply of 50 bytes instead of 110")
	})
	// A switch that has been slow handles one thing after the other: it replies,
	// and then answers the second request. That must not look like a refusal.
	t.Run("a slow switch", func(t *testing.T) {
		testutil.NoLeaks(t)
		defer vdeplug.SetProbeDelay(time.Millisecond)()
		for _, second := range []testutil.FakeScript{(*testutil.FakeClient).Close, func(c *testutil.FakeClient) { c.Reply() }} {
			asked, replied := make(chan struct{}), make(chan struct{})
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				c.ReadRequest()
				c.Wait(asked)
				c.ConnectBack()
				c.Reply()
				close(replied)
			}, func(c *testutil.FakeClient) {
				c.ReadRequest()
				close(asked)
				c.Wait(replied)
				second(c)
			})
			c := conntest.Open(t, sw.VNL())
			client := conntest.Next(t, sw)
			if client.Index != 0 {
				client = conntest.Next(t, sw)
			}
			conntest.Works(t, c, client)
		}
	})
}

// Who may write to the data socket can put datagrams into its queue before it is
// connected. Of what is there then, only what the switch itself has sent counts.
func TestOpenInjection(t *testing.T) {
	read := func(t *testing.T, c *vde.Conn, n int) (seqs []int) {
		buf := make([]byte, 9234)
		for range n {
			k, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, conntest.Seq(buf[:k]))
		}
		return seqs
	}
	readBatch := func(t *testing.T, c *vde.Conn, n int) (seqs []int) {
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
	}
	frames := func(t *testing.T, c *vde.Conn, n int) (seqs []int) {
		for range n {
			f := conntest.Await(t, "a frame", c.Frames())
			seqs = append(seqs, conntest.Seq(f.View()))
			f.Release()
		}
		return seqs
	}
	for _, tt := range []struct {
		name string
		read func(t *testing.T, c *vde.Conn, n int) []int
	}{{"Read", read}, {"ReadBatch", readBatch}, {"Frames", frames}} {
		t.Run(tt.name, func(t *testing.T) {
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
			if got := tt.read(t, c, 5); fmt.Sprint(got) != "[1 2 3 5 6]" {
				t.Errorf("received %v", got)
			}
			s := c.Stats()
			if s.RxForeign != 4 || s.RxFrames != 5 || s.RxBytes != 300 || s.RxEmpty != 1 || s.RxRunts != 1 || s.RxTruncated != 1 || s.RxDiscarded != 0 {
				t.Errorf("in the end: %+v", s)
			}
			// Now strangers are refused by the kernel; the name is gone anyway.
			if err := client.Inject(conntest.Frame(60, 903)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a stranger's datagram: %v", err)
			}
		})
	}
	t.Run("full queue", func(t *testing.T) {
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
	})
	t.Run("unread", func(t *testing.T) {
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
	})
}
