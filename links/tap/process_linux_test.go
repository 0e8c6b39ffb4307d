// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/vnl"
)

// nameVariable makes a copy of this test program open a device of the name.
const nameVariable = "TAP_TEST_NAME"

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(nameVariable); ok {
		openAsChild(name)
		return
	}
	goleak.VerifyTestMain(m)
}

// openAsChild opens a device, sends a frame, says how that went, and keeps the device
// until its standard input ends.
func openAsChild(name string) {
	l, err := tap.Driver{}.Open(context.Background(), vnl.Locator{Scheme: "tap", Arg: name}, link.Settings{})
	if err == nil {
		_, _, err = l.Send(link.Tx{Frames: [][]byte{testFrame(60, 7)}})
	}
	fmt.Printf("%v %v %v\n", err == nil, errors.Is(err, fs.ErrPermission), err)
	io.Copy(io.Discard, os.Stdin)
}

// A child is a copy of this program that has a device open.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	result string // its first line
}

// startChild starts a copy of this program as another user (nil: the same).
func startChild(t *testing.T, ns *testpeers.Namespace, user *syscall.SysProcAttr, name string) *child {
	t.Helper()
	cmd := exec.Command(testpeers.TestBinaryForAnyUser(t))
	cmd.Env = append(os.Environ(), nameVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = user
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, stdin: stdin}
	t.Cleanup(func() { c.end() })
	if c.result, err = bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return c
}

// end lets the child end and waits for that.
func (c *child) end() {
	c.stdin.Close()
	_ = c.cmd.Wait() // it may have been killed
}

// nobody is a user whose one privilege is to open files that others keep to themselves:
// on some machines only root may open the device file.
var nobody = &syscall.SysProcAttr{
	Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
	AmbientCaps: []uintptr{unix.CAP_DAC_OVERRIDE},
}

// TestPermissions opens devices as a user without privileges over interfaces.
func TestPermissions(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE")
	ns := namespace(t)
	ip(t, ns,
		"ip tuntap add dev mine mode tap user 65534", "ip link set dev mine up",
		"ip tuntap add dev theirs mode tap user 1",
		"ip tuntap add dev several mode tap user 65534 multi_queue", "ip link set dev several up")
	// No device exists: it would have to be made.
	for _, name := range []string{"new", "", "theirs"} {
		got := startChild(t, ns, nobody, name).result
		for _, want := range []string{"false true", "CAP_NET_ADMIN", "ip tuntap add dev ", "mode tap user nobody"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q: %s, want %q", name, got, want)
			}
		}
	}
	for _, name := range []string{"mine", "several"} {
		p := testpeers.OpenPacketSocket(t, ns, name, false)
		c := startChild(t, ns, nobody, name)
		if !strings.HasPrefix(c.result, "true") {
			t.Errorf("%s: %s", name, c.result)
		}
		if f, err := p.Recv(); err != nil || len(f) != 60 {
			t.Errorf("%s: %x, %v", name, f, err)
		}
		c.end()
		ip(t, ns, "ip link show dev "+name) // it stays
	}
}

// TestKilled kills a process that has devices open.
func TestKilled(t *testing.T) {
	ns := namespace(t)
	ip(t, ns, "ip tuntap add dev kept mode tap", "ip link set dev kept up")
	for _, name := range []string{"gone", "kept"} {
		c := startChild(t, ns, nil, name)
		ip(t, ns, "ip link show dev "+name)
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.end()
		if left := strings.Contains(ip(t, ns, "ip link"), name); left != (name == "kept") {
			t.Errorf("%s is left: %v", name, left)
		}
		// The next one may have the name at once.
		l := mustOpen(t, ns, tap.Driver{}, name)
		ip(t, ns, "ip link set dev "+name+" up")
		p := testpeers.OpenPacketSocket(t, ns, name, false)
		if err := p.Send(testFrame(99, 1)); err != nil {
			t.Fatal(err)
		}
		if f, err := recvOne(l); err != nil || len(f) != 99 {
			t.Errorf("%d bytes, %v", len(f), err)
		}
	}
}
