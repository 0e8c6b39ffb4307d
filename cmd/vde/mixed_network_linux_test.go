// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testaccounts"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

var mixedBytes = flag.Int64("mixed", 4<<20, "bytes that TestMixedNetwork sends from each station to each other one")

// A mixedStation is a TCP stack on the network of TestMixedNetwork.
type mixedStation struct {
	name string
	addr netip.Addr

	// dial and listen are nil for a guest, which has services instead.
	dial   func(ctx context.Context, addr string) (net.Conn, error)
	listen func() (net.Listener, error)
}

// TestMixedNetwork joins one of each on a switch: a kernel by a tap device, a guest of
// QEMU by a stream, a kernel by the C programs of VDE, a host in Go by shared memory, and
// a kernel on "another machine" by its own VXLAN device. Each sends to each other one.
func TestMixedNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("a guest on an emulated processor takes its time")
	}
	testpeers.Need(t, "ip", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "/dev/net/tun", "vde_plug", "qemu-system-x86_64")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	dir := testutil.ShortDir(t)
	network, vm := filepath.Join(dir, "s"), filepath.Join(dir, "vm")
	here, remote := newMachines(ctx, t)
	tap := testpeers.NewNamespace(t)
	cmd := commandContext(ctx, t, "switch", network, "--json", "--require-links",
		"--link", "11=tap://lan0", "--link", "12=vxlan://192.0.2.2/vni=7", "--link", "13=stream://"+vm+"[server]")
	var result bytes.Buffer
	cmd.Stdout = &result
	var finish func() (string, error)
	// The switch serves before its uplinks are there.
	up := []string{`"link up" port=11`, `"link up" port=12`, `"link up" port=13`}
	if err := here.Do(func() error { finish = start(t, cmd, up...); return nil }); err != nil {
		t.Fatal(err)
	}
	ip(ctx, t, here, "link set lan0 netns "+tap.Path())
	ip(ctx, t, tap, "addr add 10.1.0.1/24 dev lan0", "link set lan0 up")

	plug := testpeers.StartKernelTap(t, network, testpeers.KernelTapConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.3/24")}})
	testpeers.StartGuest(t, testpeers.GuestConfig{
		Addr: netip.MustParsePrefix("10.1.0.4/24"), Netdev: "stream,server=off,addr.type=unix,addr.path=" + vm, Memory: 256 + int(*mixedBytes>>20),
	})
	conn, err := vde.Open(ctx, network)
	if err != nil {
		t.Fatal(err)
	}
	if !conn.Caps().SharedMemory {
		t.Error("the host in Go has no shared memory with the switch")
	}
	host, err := netstack.NewHost(conn, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.5/24")}})
	if err != nil {
		t.Fatal(err)
	}
	stations := []*mixedStation{
		kernelStation("tap", "10.1.0.1", tap), kernelStation("vxlan", "10.1.0.2", remote), kernelStation("vde_plug", "10.1.0.3", plug.Namespace),
		{name: "guest", addr: netip.MustParseAddr("10.1.0.4")},
		{
			name: "host", addr: netip.MustParseAddr("10.1.0.5"),
			dial:   func(ctx context.Context, addr string) (net.Conn, error) { return host.DialContext(ctx, "tcp", addr) },
			listen: func() (net.Listener, error) { return host.Listen("tcp", ":0") },
		},
	}
	exchangeAll(ctx, t, stations)
	if err := host.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if out, err := finish(); err != nil {
		t.Errorf("the switch: %v\n%s", err, out)
	}
	checkSwitchResult(t, result.Bytes())
}

// ip runs the program ip in n for each of the commands.
func ip(ctx context.Context, t *testing.T, n *testpeers.Namespace, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := n.Exec(ctx, append([]string{"ip"}, strings.Fields(c)...)...); err != nil {
			t.Fatal(err)
		}
	}
}

// newMachines returns two namespaces with a link between them that carries a tunnel's
// frames whole, and in the second one the end of a tunnel to the first.
func newMachines(ctx context.Context, t *testing.T) (here, remote *testpeers.Namespace) {
	t.Helper()
	here, remote = testpeers.NewNamespace(t), testpeers.NewNamespace(t)
	ip(ctx, t, here, "link add va type veth peer name vb netns "+remote.Path(), "link set va mtu 1600 up", "addr add 192.0.2.1/24 dev va")
	ip(ctx, t, remote, "link set vb mtu 1600 up", "addr add 192.0.2.2/24 dev vb",
		"link add vx type vxlan id 7 dstport 4789 local 192.0.2.2 remote 192.0.2.1 dev vb", "addr add 10.1.0.2/24 dev vx", "link set vx mtu 1500 up")
	return here, remote
}

// kernelStation is the TCP stack of the kernel in a namespace.
func kernelStation(name, addr string, n *testpeers.Namespace) *mixedStation {
	a := netip.MustParseAddr(addr)
	return &mixedStation{
		name: name, addr: a,
		dial: func(ctx context.Context, addr string) (c net.Conn, err error) {
			var d net.Dialer
			err = n.Do(func() (err error) { c, err = d.DialContext(ctx, "tcp", addr); return err })
			return c, err
		},
		listen: func() (l net.Listener, err error) {
			err = n.Do(func() (err error) { l, err = net.Listen("tcp", netip.AddrPortFrom(a, 0).String()); return err })
			return l, err
		},
	}
}

// exchangeAll sends from each station to each other one.
func exchangeAll(ctx context.Context, t *testing.T, stations []*mixedStation) {
	t.Helper()
	var last *mixedStation // of those that can dial
	for _, s := range stations {
		if s.dial != nil {
			last = s
		}
	}
	for i, from := range stations {
		for j, to := range stations {
			if i == j {
				continue
			}
			data := make([]byte, *mixedBytes)
			r := rand.NewChaCha8([32]byte{byte(i), byte(j)})
			_, _ = r.Read(data) // never fails
			start := time.Now()
			var err error
			switch {
			case from.dial == nil:
				err = fromGuest(ctx, last, from, to, data)
			case to.listen == nil:
				err = toGuest(ctx, from, to, data)
			default:
				err = between(ctx, from, to, data)
			}
			if err != nil {
				t.Errorf("%s to %s: %v", from.name, to.name, err)
			}
			t.Logf("%s to %s: %d bytes, %.2f Gbit/s", from.name, to.name, len(data), float64(8*len(data))/1e9/time.Since(start).Seconds())
		}
	}
}

// sumOf accepts a connection, reads it to the end and returns the SHA-256.
func sumOf(l net.Listener) <-chan string {
	sum := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			sum <- err.Error()
			return
		}
		defer c.Close()
		h := sha256.New()
		if _, err := io.Copy(h, c); err != nil {
			sum <- err.Error()
			return
		}
		sum <- fmt.Sprintf("%x", h.Sum(nil))
	}()
	return sum
}

func between(ctx context.Context, from, to *mixedStation, data []byte) error {
	l, err := to.listen()
	if err != nil {
		return err
	}
	defer l.Close()
	sum := sumOf(l)
	if _, err := tell(ctx, from, to, portOf(l), data); err != nil {
		return err
	}
	return compareSum(<-sum, data)
}

// toGuest sends to the service that answers with the sum.
func toGuest(ctx context.Context, from, to *mixedStation, data []byte) error {
	answer, err := tell(ctx, from, to, testpeers.GuestSum, data)
	if err != nil {
		return err
	}
	return compareSum(strings.TrimSuffix(answer, "  -\n"), data)
}

// fromGuest has helper give data to the guest and tell it to send that.
func fromGuest(ctx context.Context, helper, from, to *mixedStation, data []byte) error {
	if answer, err := tell(ctx, helper, from, testpeers.GuestKeep, data); err != nil || answer != "kept\n" {
		return fmt.Errorf("the guest keeps nothing: %q, %w", answer, err)
	}
	l, err := to.listen()
	if err != nil {
		return err
	}
	defer l.Close()
	sum := sumOf(l)
	request := fmt.Appendf(nil, "%s %d\n", to.addr, portOf(l))
	if answer, err := tell(ctx, helper, from, testpeers.GuestSend, request); err != nil || answer != "sent\n" {
		return fmt.Errorf("the guest does not send: %q, %w", answer, err)
	}
	return compareSum(<-sum, data)
}

// portOf returns the port of a listener of the kernel or of a host.
func portOf(l net.Listener) int {
	return int(netip.MustParseAddrPort(l.Addr().String()).Port())
}

// tell sends data to a port and returns what is answered.
func tell(ctx context.Context, from, to *mixedStation, port int, data []byte) (string, error) {
	c, err := from.dial(ctx, netip.AddrPortFrom(to.addr, uint16(port)).String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := c.Write(data); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

func compareSum(got string, data []byte) error {
	if want := fmt.Sprintf("%x", sha256.Sum256(data)); got != want {
		return fmt.Errorf("SHA-256 %s, want %s", got, want)
	}
	return nil
}

// checkSwitchResult checks what vde switch --json has printed: the counters add up, and
// each uplink has carried frames both ways.
func checkSwitchResult(t *testing.T, result []byte) {
	t.Helper()
	var s struct{ Switch vswitch.Stats }
	if err := json.Unmarshal(result, &s); err != nil {
		t.Fatalf("%v: %s", err, result)
	}
	testaccounts.Check(t, s.Switch)
	active := 0
	for _, p := range s.Switch.Ports {
		if p.In.Dropped.Giant > 0 {
			t.Errorf("port %d: %d frames came that are too long", p.Port, p.In.Dropped.Giant)
		}
		if p.In.Frames > 0 && p.Out.Frames > 0 {
			active++
		}
		t.Logf("port %d: in %d, dropped %d; out %d, dropped %d", p.Port, p.In.Frames, p.In.Dropped.Sum(), p.Out.Frames, p.Out.Dropped.Sum())
	}
	if active != 5 {
		t.Errorf("frames in and out at %d ports, want 5", active)
	}
}
