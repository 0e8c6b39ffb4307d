// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/containers/gvisor-tap-vsock/pkg/tap"
	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A contender is a path for frames from A to B. Its endpoints are in this process,
// or processes of their own.
type contender struct {
	name  string
	limit int // the longest frame it takes

	batch     int                                                  // frames given to a sender at once
	endpoints func(t testing.TB, l load) (a, b peer.Endpoint)      // in this process, or
	program   string                                               // the name of a build
	network   func(t testing.TB, l load) (name string, pids []int) // what joins them
	options   []vde.Option                                         // of endpoints in this process
}

// anySize is the limit of what takes the longest frames measured.
const anySize = 65535

func (c contender) subject(t testing.TB, l load) subject {
	if c.program != "" {
		sink, source, pids := c.processes(t, l, "count", "flood")
		return subject{lane: &processes{source: source, sink: sink}, pids: pids}
	}
	if c.network != nil {
		name, pids := c.network(t, l)
		a, b := open(t, name, l.max(), c.options...), open(t, name, l.max(), c.options...)
		return subject{newPair(t, newConn(a, "batch", l.max()), newConn(b, "batch", l.max()), l, batch), pids, len(pids) == 0}
	}
	a, b := c.endpoints(t, l)
	return subject{lane: newPair(t, a, b, l, c.batch), local: true}
}

// processes starts an endpoint B and then an endpoint A.
func (c contender) processes(t testing.TB, l load, roleB, roleA string) (b, a *endpoint, pids []int) {
	path := program(t, c.program)
	n := max(c.batch, 1)
	if c.network == nil { // a bare pair
		mode := "one"
		if n > 1 {
			mode = "mmsg"
		}
		fa, fb := socketpair(t, unix.SOCK_DGRAM)
		defer fa.Close()
		defer fb.Close()
		b = startEndpoint(t, path, roleB, mode, l, n, fb)
		a = startEndpoint(t, path, roleA, mode, l, n, fa)
		return b, a, []int{a.pid, b.pid}
	}
	name, pids := c.network(t, l)
	b = startEndpoint(t, path, roleB, name, l, n, nil)
	a = startEndpoint(t, path, roleA, name, l, n, nil)
	return b, a, append(pids, a.pid, b.pid)
}

// conns is two connections joined without a switch, used in one mode.
func conns(mode string, n int) contender {
	return contender{name: "conn-" + mode, limit: anySize, batch: n, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		ca, cb := direct(t, l.max())
		return newConn(ca, mode, l.max()), newConn(cb, mode, l.max())
	}}
}

func rawSockets(name string, n int) contender {
	return contender{name: name, limit: anySize, batch: n, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		return rawPair(t, n > 1, l.max())
	}}
}

func netSockets(t testing.TB, l load) (a, b peer.Endpoint) {
	fa, fb := socketpair(t, unix.SOCK_DGRAM)
	return newPackets(netConn(t, fa), l.max()), newPackets(netConn(t, fb), l.max())
}

// inproc is two ports of a switch in this process.
func inproc(name, mode string) contender {
	return contender{name: name, limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		sw := newSwitch(t, l.max())
		return newConn(attach(t, sw, l.max()), mode, l.max()), newConn(attach(t, sw, l.max()), mode, l.max())
	}}
}

// ringsForAll is more shared memory than the endpoints of a benchmark ask for. With
// the default, some hundreds have rings, and others sockets.
const ringsForAll = 64 << 30

func newSwitch(t testing.TB, size int) *vswitch.Switch {
	cfg := vswitch.Config{NumPorts: 20_000, MaxSharedMemory: ringsForAll}
	if size > 9234 {
		cfg.MaxFrameSize = size
	}
	sw := vswitch.New(cfg)
	t.Cleanup(func() { sw.Close() })
	return sw
}

func attach(t testing.TB, sw *vswitch.Switch, size int) *vde.Conn {
	t.Helper()
	c, err := sw.Attach(roomFor(size)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// serve answers in a directory until the end.
func serve(t testing.TB, sw *vswitch.Switch) (dir string) {
	t.Helper()
	base, err := os.MkdirTemp(memoryDir(), "vde")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	dir = base + "/s"
	l, err := sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, vswitch.ErrClosed) {
			t.Error(err)
		}
	})
	return dir
}

// memoryDir is where the names of sockets cost no disk: thousands of them are
// made and removed, and a file system like ext4 takes milliseconds for each.
func memoryDir() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// The switches that are joined over sockets.

func ourSwitch(t testing.TB, l load) (string, []int) { return serve(t, newSwitch(t, l.max())), nil }

// sockets is for endpoints that could share memory with the switch.
var sockets = []vde.Option{vde.WithSharedMemory(vde.SharedMemoryNever)}

// switchProcess is our switch in a process of its own; how is what the endpoints
// are told.
func switchProcess(how string) func(testing.TB, load) (string, []int) {
	return func(t testing.TB, l load) (string, []int) {
		base, err := os.MkdirTemp(memoryDir(), "vde")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(base); err != nil {
				t.Error(err)
			}
		})
		cmd := exec.Command(program(t, "vde"), "switch", "--max-frame", strconv.Itoa(max(l.max(), frame.DefaultMaxSize)), base+"/s")
		log, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(log)
		if !lines.Scan() {
			t.Fatal("vde switch does not say that it serves")
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			for lines.Scan() {
			}
		}()
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt) // has ended, at the worst
			<-read
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
		return how + base + "/s", []int{cmd.Process.Pid}
	}
}

func stockSwitch(t testing.TB, _ load) (string, []int) {
	s := testpeers.StartSwitch(t, testpeers.SwitchConfig{NoMgmt: true})
	return s.Dir(), []int{s.PID()}
}

func switchNode(t testing.TB, _ load) (string, []int) {
	n := testpeers.StartNode(t, "switch")
	return n.VNL(), []int{n.PID()}
}

// gvtap is the switch of gvisor-tap-vsock, without its gateway, in this process.
func gvtap(name string, kind int, protocol types.Protocol, makeEndpoint func(net.Conn, int) peer.Endpoint) contender {
	return contender{name: name, limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		sw := tap.NewSwitch(false)
		sw.Connect(noGateway{})
		var ends []peer.Endpoint
		for range 2 {
			ours, its := socketpair(t, kind)
			served := netConn(t, its)
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_ = sw.Accept(context.Background(), served, protocol) // ends with an error when the endpoint leaves
			}()
			s := makeEndpoint(netConn(t, ours), l.max())
			t.Cleanup(func() {
				s.Close()
				<-gone
			})
			ends = append(ends, s)
		}
		return ends[0], ends[1]
	}}
}

// noGateway is the gateway of a network that has none.
type noGateway struct{}

func (noGateway) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}
func (noGateway) LinkAddress() tcpip.LinkAddress                                        { return "\x02\x00\x00\x00\x00\xff" }
func (noGateway) IP() string                                                            { return "" }

// bridge is two tap interfaces on a bridge of the kernel, in a namespace of their
// own.
func bridge(t testing.TB, l load) (a, b peer.Endpoint) {
	testpeers.Need(t, "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "/dev/net/tun", "ip")
	ns := testpeers.NewNamespace(t)
	var ends []peer.Endpoint
	for i := range 2 {
		var f *os.File
		if err := ns.Do(func() (err error) {
			f, err = openTap(fmt.Sprint("tap", i))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, newPackets(f, l.max()))
	}
	for _, line := range []string{
		"link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
		fmt.Sprintf("link set tap0 mtu %d master br0 up", max(l.max()-14, 1500)),
		fmt.Sprintf("link set tap1 mtu %d master br0 up", max(l.max()-14, 1500)),
		"link set br0 up",
	} {
		if out, err := ns.Exec(context.Background(), append([]string{"ip"}, strings.Fields(line)...)...); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	return ends[0], ends[1]
}

// openTap makes a tap interface, which lives as long as the file.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("TUNSETIFF", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// asPackets and asStream are how a client speaks to gvisor-tap-vsock.
func asPackets(c net.Conn, size int) peer.Endpoint { return newPackets(c, size) }
func asStream(c net.Conn, size int) peer.Endpoint  { return newStream(c, size) }

// The contenders without a switch.
var withoutSwitch = []contender{
	{name: "channel", limit: anySize, batch: batch, endpoints: func(_ testing.TB, l load) (a, b peer.Endpoint) { return channelPair(l.max()) }},
	{name: "go-net", limit: anySize, batch: 1, endpoints: netSockets},
	rawSockets("go-one", 1),
	rawSockets("go-mmsg", batch),
	{name: "c-one", limit: anySize, batch: 1, program: "cpair"},
	{name: "c-mmsg", limit: anySize, batch: batch, program: "cpair"},
	conns("one", 1),
	conns("batch", batch),
	conns("frames", batch),
	conns("buffers", batch),
	inproc("inproc", "batch"),
}

// The contenders with one. The limits are those of docs/protocol.md.
var switches = []contender{
	inproc("inproc", "batch"),
	inproc("inproc-frames", "frames"),
	{name: "shm", limit: anySize, batch: batch, program: "govde", network: switchProcess("shm:")},
	{name: "streams", limit: anySize, batch: batch, program: "govde", network: switchProcess("streams:")},
	{name: "sockets", limit: anySize, batch: batch, program: "govde", network: switchProcess("sockets:")},
	{name: "vswitch-shm", limit: anySize, network: ourSwitch},
	{name: "vswitch", limit: anySize, network: ourSwitch, options: sockets},
	{name: "vde_switch", limit: 1518, network: stockSwitch},
	{name: "vdeplug4", limit: 9234, network: switchNode},
	{name: "c-vswitch", limit: 9234, program: "cvde", network: ourSwitch},
	{name: "c-vde_switch", limit: 1518, program: "cvde", network: stockSwitch},
	{name: "c-vdeplug4", limit: 9234, program: "cvde", network: switchNode},
	{name: "cgo-vswitch", limit: 9234, program: "cgovde", network: ourSwitch},
	{name: "cgo-vde_switch", limit: 1518, program: "cgovde", network: stockSwitch},
	gvtap("gvtap-packet", unix.SOCK_SEQPACKET, types.BessProtocol, asPackets),
	gvtap("gvtap-stream", unix.SOCK_STREAM, types.QemuProtocol, asStream),
	{name: "bridge", limit: anySize, batch: 1, endpoints: bridge},
}
