// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/vnl"
)

// namespace returns a network namespace in which nothing sends unasked.
func namespace(t testing.TB) *testpeers.Namespace {
	t.Helper()
	testpeers.Need(t, "/dev/net/tun")
	ns := testpeers.NewNamespace(t)
	ip(t, ns) // IPv6 is off for what is made from now on
	return ns
}

// ip runs commands of the shell inside ns, such as "ip link set dev a up".
func ip(t testing.TB, ns *testpeers.Namespace, commands ...string) string {
	t.Helper()
	script := "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6\n" + strings.Join(commands, "\n")
	out, err := ns.Exec(t.Context(), "sh", "-ec", script)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return string(out)
}

// open opens a tap device inside ns.
func open(t testing.TB, ns *testpeers.Namespace, d tap.Driver, name string, s link.Settings) (l link.Link, err error) {
	t.Helper()
	err = ns.Do(func() (err error) {
		l, err = d.Open(t.Context(), vnl.Locator{Scheme: "tap", Arg: name}, s)
		return err
	})
	return l, err
}

// mustOpen is open that succeeds; the link is closed at the end of the test.
func mustOpen(t testing.TB, ns *testpeers.Namespace, d tap.Driver, name string) link.Link {
	t.Helper()
	l, err := open(t, ns, d, name, link.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// up opens a tap device inside ns and sets it up.
func up(t testing.TB, ns *testpeers.Namespace, name string) link.Link {
	t.Helper()
	l := mustOpen(t, ns, tap.Driver{}, name)
	ip(t, ns, "ip link set dev "+name+" up")
	return l
}

// testFrame returns a frame of n bytes.
func testFrame(n int, fill byte) []byte {
	f := bytes.Repeat([]byte{fill}, n)
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, fill}, frame.EtherTypeExperimental)
	return f
}

// recvOne receives one frame without metadata.
func recvOne(l link.Link) ([]byte, error) {
	buf, sizes := make([]byte, 2000), make([]int, 1)
	if _, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); err != nil {
		return nil, err
	}
	if sizes[0] > len(buf) {
		return nil, fmt.Errorf("a frame of %d bytes", sizes[0])
	}
	return buf[:sizes[0]], nil
}

// send sends frames and wants all to be taken.
func send(t testing.TB, l link.Link, frames ...[]byte) {
	t.Helper()
	if n, _, err := l.Send(link.Tx{Frames: frames}); n != len(frames) || err != nil {
		t.Fatalf("%d of %d frames sent, %v", n, len(frames), err)
	}
}
