// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
)

// Users that a test plays. They need no entry in the system's list.
var (
	nobody   = &testpeers.Credential{UID: 65534, GID: 65534}
	somebody = &testpeers.Credential{UID: 54321, GID: 54322}
)

// someGroup returns a group of the system that is not the test's own, and its number.
func someGroup(t testing.TB) (name string, gid int) {
	t.Helper()
	for _, name := range []string{"nogroup", "nobody", "daemon"} {
		g, err := user.LookupGroup(name)
		if err != nil {
			continue
		}
		if gid, err = strconv.Atoi(g.Gid); err == nil && gid != os.Getegid() {
			return name, gid
		}
	}
	testpeers.Skip(t, "a group other than the test's own", "add the group nogroup")
	return "", 0
}

// needUsers skips the test if it cannot run programs as other users.
func needUsers(t testing.TB) { testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN") }

// testPortOfAnotherUser asks for a port that another user has.
func (s *suite) testPortOfAnotherUser(t *testing.T) {
	if s.NoPorts {
		return
	}
	needUsers(t)
	n := s.network(t, Config{Mode: 0o666})
	a, b := n.station(1), n.station(2)
	echo := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CEcho, Network: n.Dir(), Port: 5, MAC: mac(5), User: nobody})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := vde.Open(ctx, n.Dir()+"[5]")
	if err == nil {
		c.Close()
	}
	n.failed("a port of another user", err, vde.ErrPortRefused)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the refusal was not noticed: %v", err)
	}
	// A client of another user is refused a port of ours, too.
	n.exchange(a, b)
	n.openAt(n.Dir() + "[6]")
	n.child(nobody, "refused", n.Dir()+"[6]").wait()
	n.exchange(a, b)

	// The refusal does not disturb the port's user. When that user has left, the port is free.
	n.write(a.Conn, testFrame(mac(5), a.mac, 80, 1))
	n.expect("the echo", a.Conn, testFrame(a.mac, mac(5), 80, 1))
	n.finish(echo)
	n.exchange(&station{n.openAt(n.Dir() + "[5]"), mac(6)}, a)
}

// testUnprivileged has clients without privileges and without options.
func (s *suite) testUnprivileged(t *testing.T) {
	needUsers(t)
	for _, tt := range []struct {
		name   string
		cfg    Config
		client *testpeers.Credential
		users  bool // the switch has to be another user's, or its directory closed
	}{
		{"root's switch", Config{Mode: 0o666}, nobody, false},
		{"root's switch, closed directory", Config{Mode: 0o666, DirMode: 0o755}, nobody, true},
		{"own switch", Config{User: nobody}, nobody, true},
		{"another user's switch", Config{Mode: 0o666, User: somebody}, nobody, true},
		{"another user's switch, closed directory", Config{Mode: 0o666, DirMode: 0o755, User: somebody}, nobody, true},
		{"switch of one's group", Config{Mode: 0o660, User: somebody}, &testpeers.Credential{UID: 65534, GID: 65534, Groups: []uint32{somebody.GID}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.users && s.FixedUser {
				return
			}
			if testing.Short() && tt.cfg.DirMode != 0 {
				t.Skip("closed directories are for the long run")
			}
			n := s.network(t, tt.cfg)
			a := n.station(1)
			c := n.child(tt.client, "echo", n.Dir())
			// Its first frame tells that it has joined.
			n.same("a", c.read(a), testFrame(frame.Broadcast(), mac(childMAC), 60, 0))
			for i, size := range s.sizes() {
				n.write(a.Conn, testFrame(mac(childMAC), a.mac, size, uint64(i)))
				n.same("the echo", c.read(a), testFrame(a.mac, mac(childMAC), size, uint64(i)))
			}
			c.CloseInput()
			c.wait()
			noOwnNames(t, n.Dir(), c.PID())
		})
	}
	t.Run("not admitted", func(t *testing.T) {
		n := s.network(t, Config{})
		n.child(nobody, "denied", n.Dir()).wait()
	})
}

// testSwitchOfAnotherUser joins switches of other users: the mode and group of the client's socket decide
// whether the switch can answer.
func (s *suite) testSwitchOfAnotherUser(t *testing.T) {
	if s.FixedUser {
		return
	}
	needUsers(t)
	_, gid := someGroup(t)
	for _, tt := range []struct {
		name   string
		group  uint32 // the switch's
		opts   []vde.Option
		denied bool
	}{
		{"no options", 4711, nil, false},
		{"group", uint32(gid), []vde.Option{vde.WithSocketGroup(fmt.Sprint(gid)), vde.WithSocketMode(0o770)}, false},
		{"everybody", 4711, []vde.Option{vde.WithSocketMode(0o777)}, false},
		{"another group", 4711, []vde.Option{vde.WithSocketGroup(fmt.Sprint(gid)), vde.WithSocketMode(0o770)}, true},
		{"group without permission", uint32(gid), []vde.Option{vde.WithSocketGroup(fmt.Sprint(gid))}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := s.network(t, Config{User: &testpeers.Credential{UID: somebody.UID, GID: tt.group}})
			before := len(n.names())
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			c, err := vde.Open(ctx, n.Dir(), tt.opts...)
			if !tt.denied {
				if err != nil {
					t.Fatal(err)
				}
				defer n.close(c)
				n.exchange(&station{c, mac(1)}, n.station(2))
				return
			}
			if err == nil {
				c.Close()
			}
			n.failed("a switch that cannot answer", err, vde.ErrConnectBackDenied)
			if after := len(n.names()); after != before {
				t.Errorf("left: %q", n.names())
			}
		})
	}
}

// What follows is the client of another user: the test binary itself, run again.
const (
	childEnv = "GO_VDE_SWITCHTEST_CHILD" // its task and its VNL, with a space between
	childMAC = 200
)

func init() {
	if task := os.Getenv(childEnv); task != "" {
		if err := childMain(task); err != nil {
			fmt.Fprintln(os.Stderr, "client of another user:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// A child is a running client of another user.
type child struct {
	*testpeers.Process
	n *network
}

// child runs a client as another user.
func (n *network) child(who *testpeers.Credential, task, vnl string) *child {
	n.Helper()
	p := testpeers.StartProcess(n, testpeers.ProcessConfig{
		Args: []string{testpeers.TestBinaryForAnyUser(n)},
		Env:  []string{childEnv + "=" + task + " " + vnl, "GORACE=atexit_sleep_ms=0"},
		User: who,
	})
	return &child{p, n}
}

// wait waits for the client to succeed.
func (c *child) wait() {
	c.n.Helper()
	ctx, cancel := context.WithTimeout(c.n.Context(), limit)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		c.n.Fatalf("%v: %s", err, c.Log())
	}
}

// read reads a frame at a, but not after the client has ended.
func (c *child) read(a *station) []byte {
	c.n.Helper()
	type result struct {
		f   []byte
		err error
	}
	done := make(chan result, 1)
	if err := a.SetReadDeadline(time.Now().Add(limit)); err != nil {
		c.n.Fatal(err)
	}
	go func() {
		buf := make([]byte, c.n.MaxFrame)
		k, err := a.Read(buf)
		done <- result{buf[:k], err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			c.n.Fatalf("%v: %s", r.err, c.Log())
		}
		return r.f
	case <-c.Done():
		a.SetReadDeadline(time.Unix(1, 0))
		<-done
		c.n.Fatalf("the client ended: %v: %s", c.Err(), c.Log())
		return nil
	}
}

// childMain does a client's task.
func childMain(task string) error {
	var what, vnl string
	if _, err := fmt.Sscan(task, &what, &vnl); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := vde.Open(ctx, vnl)
	if left := ownNames("", os.Getpid()); len(left) > 0 {
		return fmt.Errorf("left: %q", left)
	}
	expected := map[string]error{"echo": nil, "refused": vde.ErrPortRefused, "denied": vde.ErrControlDenied}[what]
	switch {
	case !errors.Is(err, expected):
		return fmt.Errorf("opening: %v, want %v", err, expected)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the refusal was not noticed: %v", err)
	case err != nil:
		return nil
	}
	// The end of the input, for which the test sees to, is the end.
	go func() {
		io.Copy(io.Discard, os.Stdin)
		c.Close()
	}()
	if _, err := c.Write(testFrame(frame.Broadcast(), mac(childMAC), 60, 0)); err != nil {
		return err
	}
	buf := make([]byte, frame.DefaultMaxSize)
	for {
		k, err := c.Read(buf)
		if err != nil {
			if c.Err() == vde.ErrHangup {
				return err
			}
			return nil
		}
		f := frame.Frame(buf[:k])
		if f.Dst() != mac(childMAC) {
			continue
		}
		frame.PutHeader(f, f.Src(), f.Dst(), testframe.EtherType)
		if _, err := c.Write(f); err != nil {
			return err
		}
	}
}
