// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"golang.org/x/sys/unix"
)

func fakeContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func nextClient(t *testing.T, s *testutil.FakeSwitch) *testutil.FakeClient {
	t.Helper()
	c, err := s.Next(fakeContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newFake starts a fake switch and checks at the end that nothing of it is
// left.
func newFake(t *testing.T, scripts ...testutil.FakeScript) *testutil.FakeSwitch {
	t.Helper()
	testutil.NoLeaks(t)
	return testutil.NewFakeSwitch(t, scripts...)
}

const (
	fakeFrame1 = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x0a\x88\xb5one"
	fakeFrame2 = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x0b\x88\xb5two"
)

func TestFakeServe(t *testing.T) {
	s := newFake(t)
	p := joinRaw(t, s)
	c := nextClient(t, s)
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	checkRequest(t, s, c, p)

	p.send(fakeFrame1)
	p.send("")
	for _, want := range []string{fakeFrame1, ""} {
		if got, err := c.Recv(fakeContext(t)); err != nil || string(got) != want {
			t.Errorf("received %q, %v; want %q", got, err, want)
		}
	}
	if err := c.Send([]byte(fakeFrame2)); err != nil {
		t.Error(err)
	}
	if got := p.recv(); got != fakeFrame2 {
		t.Errorf("client received %q", got)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Recv(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Recv with a canceled context: %v", err)
	}

	p.send(fakeFrame1)
	p.close()
	<-c.Context().Done()
	if got, err := c.Recv(fakeContext(t)); err != nil || string(got) != fakeFrame1 {
		t.Errorf("what the client sent before it left: %q, %v", got, err)
	}
	if _, err := c.Recv(fakeContext(t)); err != io.EOF {
		t.Errorf("after that: %v", err)
	}
	if late := c.TrailingBytes(); len(late) != 0 {
		t.Errorf("trailing bytes %q", late)
	}
}

// checkRequest checks what the switch has recorded about p, its first client.
func checkRequest(t *testing.T, s *testutil.FakeSwitch, c *testutil.FakeClient, p *rawClient) {
	t.Helper()
	rs := s.Requests()
	if len(rs) != 1 {
		t.Fatalf("%d requests", len(rs))
	}
	r := rs[0]
	if r != c.Request() || r.Err != nil || r.Version != 3 || r.Kind != 0 || r.Port != 0 || r.Path != p.path || r.Description != "plug" || len(r.Raw) != 126 {
		t.Errorf("request %+v", r)
	}
	if r.PID != os.Getpid() || r.UID != os.Getuid() || r.GID != os.Getgid() {
		t.Errorf("credentials %d %d %d", r.PID, r.UID, r.GID)
	}
	if r.PathErr != nil || r.PathMode != fs.ModeSocket|0o640 || r.PathUID != os.Geteuid() {
		t.Errorf("data socket %v, owner %d: %v", r.PathMode, r.PathUID, r.PathErr)
	}
	if want := []string{filepath.Base(p.path), "ctl"}; !slices.Equal(r.Entries, want) {
		t.Errorf("directory held %q, want %q", r.Entries, want)
	}
	if strays, err := s.Strays(); err != nil || len(strays) != 0 {
		t.Errorf("strays %q, %v", strays, err)
	}
	if c.PeerPath() != p.path || filepath.Dir(c.DataPath()) != s.Dir() || c.Port() != 1 {
		t.Errorf("paths %q %q, port %d", c.PeerPath(), c.DataPath(), c.Port())
	}
}

func TestFakeClosesAtEachByte(t *testing.T) {
	const last = 110
	var scripts []testutil.FakeScript
	for k := range last + 1 {
		scripts = append(scripts, func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.WriteCtl(c.ReplyBytes()[:k])
			c.Close()
		}, func(c *testutil.FakeClient) {
			c.ReadCtl(k)
			c.Close()
		})
	}
	s := newFake(t, scripts...)
	for k := range last + 1 {
		p := dialRaw(t, filepath.Join(s.Dir(), "ctl"))
		p.request(0, "")
		var got []byte
		for {
			b, err := p.reply()
			got = append(got, b...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != k {
			t.Errorf("%d reply bytes, want %d", len(got), k)
		}
		p.close()

		p = dialRaw(t, filepath.Join(s.Dir(), "ctl"))
		// A switch that reads nothing may be gone before the request is out.
		unix.Write(p.ctl, slices.Concat(nativeWords(0xfeedface, 3, 0), rawSockaddr(1, p.path)))
		if b, err := p.reply(); err != io.EOF && err != unix.ECONNRESET {
			t.Errorf("reading %d bytes and closing: %q, %v", k, b, err)
		}
		p.close()
	}
}

func TestFakeRequests(t *testing.T) {
	s := newFake(t, testutil.FakeRefuse)
	dir := s.Dir() + "/x"
	addr := rawSockaddr(1, dir)
	long := strings.Repeat("p", 108)
	abstract := "\x00" + strings.Repeat("a", 107)
	for _, tt := range []struct {
		name string
		raw  []byte
		want testutil.FakeRequest
		err  string
	}{
		{"description", slices.Concat(nativeWords(0xfeedface, 3, 5<<8), addr, []byte("hi\x00there")), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, TypeWord: 5 << 8, Port: 5, Family: 1, Path: dir, Description: "hi\x00there"}, ""},
		{"port 0", slices.Concat(nativeWords(0xfeedface, 3, 1), addr), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, TypeWord: 1, Kind: 1, Family: 1, Path: dir}, ""},
		{"negative port", slices.Concat(nativeWords(0xfeedface, 3, 0xffffff00), addr), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, TypeWord: 0xffffff00, Port: -1, Family: 1, Path: dir}, ""},
		{"no NUL", slices.Concat(nativeWords(0xfeedface, 3, 0), rawSockaddr(1, long)), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, Family: 1, Path: long}, ""},
		{"abstract", slices.Concat(nativeWords(0xfeedface, 3, 0), rawSockaddr(1, abstract)), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, Family: 1, Path: "@" + abstract[1:]}, ""},
		{"version 1", slices.Concat(nativeWords(0xfeedface, 1), make([]byte, 6), addr, []byte("old")), testutil.FakeRequest{Magic: 0xfeedface, Version: 1, TypeWord: 1, Kind: 1, Family: 1, Path: dir, Description: "old"}, ""},
		{"version 2", slices.Concat(nativeWords(0xfeedface, 2, 0), addr), testutil.FakeRequest{Magic: 0xfeedface, Version: 2}, "version"},
		{"magic", slices.Concat(nativeWords(0xfeedfacf, 3, 0), addr), testutil.FakeRequest{Magic: 0xfeedfacf}, "magic"},
		{"kind", slices.Concat(nativeWords(0xfeedface, 3, 2), addr), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, TypeWord: 2, Kind: 2, Family: 1, Path: dir}, "kind"},
		{"family", slices.Concat(nativeWords(0xfeedface, 3, 0), rawSockaddr(2, dir)), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, Family: 2, Path: dir}, "family"},
		{"no path", slices.Concat(nativeWords(0xfeedface, 3, 0), rawSockaddr(1, "")), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, Family: 1}, "path"},
		{"short", slices.Concat(nativeWords(0xfeedface, 3, 0), addr[:109]), testutil.FakeRequest{Magic: 0xfeedface, Version: 3}, "121 bytes"},
		{"very short", []byte("x"), testutil.FakeRequest{}, "1 bytes"},
		{"long", slices.Concat(nativeWords(0xfeedface, 3, 0), addr, []byte(strings.Repeat("d", 200))), testutil.FakeRequest{Magic: 0xfeedface, Version: 3, Family: 1, Path: dir, Description: strings.Repeat("d", 134)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := dialRaw(t, filepath.Join(s.Dir(), "ctl"))
			if _, err := unix.Write(p.ctl, tt.raw); err != nil {
				t.Fatal(err)
			}
			c := nextClient(t, s)
			r := c.Request()
			if r == nil {
				t.Fatal(c.Err())
			}
			if want := tt.raw[:min(len(tt.raw), 256)]; !bytes.Equal(r.Raw, want) {
				t.Errorf("raw %q", r.Raw)
			}
			w := &tt.want
			if r.Magic != w.Magic || r.Version != w.Version || r.TypeWord != w.TypeWord || r.Kind != w.Kind || r.Port != w.Port ||
				r.Family != w.Family || r.Path != w.Path || r.Description != w.Description {
				t.Errorf("got %+v, want %+v", r, w)
			}
			if tt.err == "" && r.Err != nil || tt.err != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", r.Err, tt.err)
			}
			if r.PathErr == nil {
				t.Errorf("found a socket at %q", r.Path)
			}
		})
	}
}

func TestFakeBlock(t *testing.T) {
	s := newFake(t)
	joinRaw(t, s)
	if err := s.Block(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(s.Dir(), "ctl")}); err != unix.EAGAIN {
		t.Errorf("connecting to a blocked switch: %v", err)
	}
	if err := s.Block(); err == nil {
		t.Error("blocked twice")
	}
	if err := s.Unblock(); err != nil {
		t.Fatal(err)
	}
	if p := joinRaw(t, s); p.queued() != nil {
		t.Error("frames out of nowhere")
	}
	nextClient(t, s)
	if c := nextClient(t, s); c.Index != 1 {
		t.Errorf("client %d: the fillers were taken for clients", c.Index)
	}
	if err := s.Block(); err != nil { // and close it in this state
		t.Fatal(err)
	}
}

func TestFakeFramesBeforeTheClientConnects(t *testing.T) {
	const stranger = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x66\x88\xb5stranger"
	var flooded atomic.Int64
	s := newFake(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		if err := c.Inject([]byte(stranger)); err != nil {
			t.Error(err)
		}
		c.ConnectBack()
		c.Bind()
		if err := c.Send([]byte(fakeFrame1)); err != nil {
			t.Error(err)
		}
		n, err := c.Flood([]byte(fakeFrame2))
		if err != nil {
			t.Error(err)
		}
		flooded.Store(int64(n))
		c.Reply()
	})
	p := joinRaw(t, s)
	c := nextClient(t, s)
	got := p.queued()
	if len(got) != int(flooded.Load())+2 || got[0] != stranger || got[1] != fakeFrame1 || got[len(got)-1] != fakeFrame2 {
		t.Errorf("received %q, with %d flooded", got, flooded.Load())
	}
	few := len(got)
	if err := c.Inject([]byte(stranger)); err == nil {
		t.Error("injected into a connected socket")
	}
	n, err := c.Flood([]byte(fakeFrame2))
	if err != nil || n <= few {
		t.Errorf("%d frames fit before, %d (%v) after the client connected", few, n, err)
	}
	if err := c.TrySend([]byte(fakeFrame2)); err == nil {
		t.Error("sent into a full queue")
	}
	if got := p.queued(); len(got) != n {
		t.Errorf("received %d of %d", len(got), n)
	}
}

func TestFakeInjectUntilConnected(t *testing.T) {
	replied := make(chan struct{})
	injected := make(chan int, 1)
	s := newFake(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.ConnectBack()
		go func() {
			defer close(injected)
			if err := c.Inject([]byte(fakeFrame2)); err != nil {
				t.Error(err)
			}
			close(replied)
			n, err := c.InjectUntilConnected([]byte(fakeFrame2))
			if err != nil {
				t.Error(err)
			}
			injected <- 1 + n
		}()
		c.Wait(replied)
		c.Reply()
	})
	p := joinRaw(t, s)
	n := <-injected
	if got := p.queued(); len(got) != n || n == 0 {
		t.Errorf("%d frames injected, %d arrived", n, len(got))
	}
}

func TestFakeEndings(t *testing.T) {
	s := newFake(t)
	join := func() (*rawClient, *testutil.FakeClient) { p := joinRaw(t, s); return p, nextClient(t, s) }

	p, c := join()
	c.Hangup()
	if _, err := p.reply(); err != io.EOF {
		t.Errorf("ctl after Hangup: %v", err)
	}
	p.send(fakeFrame1) // the data socket lives
	if got, err := c.Recv(fakeContext(t)); err != nil || string(got) != fakeFrame1 {
		t.Errorf("%q, %v", got, err)
	}

	p, c = join()
	path := c.DataPath()
	c.CloseData()
	if err := p.trySend(fakeFrame1, 0); err != unix.ECONNREFUSED {
		t.Errorf("send after CloseData: %v", err)
	}
	if _, err := p.replyNow(); err != unix.EAGAIN {
		t.Errorf("ctl after CloseData: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("name of the closed socket: %v", err)
	}
	if err := c.Send([]byte(fakeFrame1)); err == nil {
		t.Error("sent through a closed socket")
	}

	p, c = join()
	if _, err := unix.Write(p.ctl, []byte("late")); err != nil {
		t.Fatal(err)
	}
	p.close()
	<-c.Context().Done()
	if got := c.TrailingBytes(); string(got) != "late" {
		t.Errorf("trailing bytes %q", got)
	}
	if cause := context.Cause(c.Context()); cause != io.EOF {
		t.Errorf("cause %v", cause)
	}

	p, c = join()
	s.Stop()
	if _, err := p.reply(); err != io.EOF {
		t.Errorf("ctl after the switch closed: %v", err)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory after Close: %v", err)
	}
	if _, err := c.Recv(fakeContext(t)); err == nil {
		t.Error("received from a closed client")
	}
}

// A script that waits for something that never comes must not hold up the end.
func TestFakeCloseReleasesScripts(t *testing.T) {
	s := newFake(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.Wait(nil)
	}, func(c *testutil.FakeClient) {
		c.ReadRequest() // never sent
	}, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.WritePieces([]byte("never read"), []byte("so never written"))
	})
	p := dialRaw(t, filepath.Join(s.Dir(), "ctl"))
	p.request(0, "")
	dialRaw(t, filepath.Join(s.Dir(), "ctl"))
	p = dialRaw(t, filepath.Join(s.Dir(), "ctl"))
	p.request(0, "")
	if _, err := s.WaitRequests(fakeContext(t), 2); err != nil {
		t.Fatal(err)
	}
	s.Stop()
}

func TestFakePortgroup(t *testing.T) {
	s := newFake(t)
	if err := s.Portgroup("lan"); err != nil {
		t.Fatal(err)
	}
	p := dialRaw(t, filepath.Join(s.Dir(), "lan"))
	p.request(0, "")
	if c := nextClient(t, s); c.Group != "lan" || c.Err() != nil {
		t.Errorf("group %q, %v", c.Group, c.Err())
	}
}

func TestFakeForeignSocketAndStrays(t *testing.T) {
	s := newFake(t)
	sock, path, err := s.ForeignSocket("foreign")
	if err != nil {
		t.Fatal(err)
	}
	p := dialRaw(t, filepath.Join(s.Dir(), "ctl"))
	if err := unix.Sendto(p.data, []byte(fakeFrame1), 0, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := sock.Read(b); err != nil || string(b[:n]) != fakeFrame1 {
		t.Errorf("%q, %v", b[:n], err)
	}
	if strays, err := s.Strays(); err != nil || !slices.Equal(strays, []string{filepath.Base(p.path)}) {
		t.Errorf("strays %q, %v", strays, err)
	}
}

// The stock client must take the fake for a switch, and the fake must
// understand it.
func TestFakeServesStockClient(t *testing.T) {
	testpeers.Need(t, "vde_plug")
	s := newFake(t)
	ctx, cancel := context.WithCancel(fakeContext(t))
	defer cancel()
	cmd := exec.CommandContext(ctx, "vde_plug", "-D", "stock", s.VNL()+"[5]")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cancel()
	c := nextClient(t, s)
	r := c.Request()
	if c.Err() != nil || r.Err != nil || r.Port != 5 || r.PID != cmd.Process.Pid || !strings.HasPrefix(r.Description, "stock") || r.PathErr != nil || r.PathMode.Perm()&0o700 != 0o700 {
		t.Fatalf("%v, %+v", c.Err(), r)
	}
	// On its standard streams a frame follows its length in two bytes.
	if _, err := io.WriteString(in, string([]byte{0, byte(len(fakeFrame1))})+fakeFrame1); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Recv(ctx); err != nil || string(got) != fakeFrame1 {
		t.Errorf("received %q, %v", got, err)
	}
	if err := c.Send([]byte(fakeFrame2)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2+len(fakeFrame2))
	if _, err := io.ReadFull(out, got); err != nil || string(got[2:]) != fakeFrame2 {
		t.Errorf("stock client received %q, %v", got, err)
	}
	c.Close()
	if strays, err := s.Strays(); err != nil || len(strays) != 0 {
		t.Errorf("strays %q, %v", strays, err)
	}
}
