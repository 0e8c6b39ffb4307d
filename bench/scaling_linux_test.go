// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// BenchmarkPorts moves frames between two endpoints of a switch of which more ports
// are in use, all of them silent, and reports what each of those costs in memory: of
// this process for our switch, with the endpoints, or of vde_switch.
func BenchmarkPorts(b *testing.B) {
	l := newLoad(b, "64")
	for _, ports := range []int{2, 10, 100, 1000} {
		b.Run(fmt.Sprintf("ports=%d", ports), func(b *testing.B) {
			for _, kind := range inOrder([]string{"inproc", "vswitch-shm", "vswitch", "vde_switch"}) {
				leaf(b, "switch="+kind, func(t testing.TB) *crowded { return newCrowded(t, kind, ports, l) }, func(s *crowded, b *testing.B) {
					s.bench(b, l)
					b.ReportMetric(s.perPort, "B/port")
				})
			}
		})
	}
}

// A crowded is a path through a switch with many ports in use.
type crowded struct {
	subject
	perPort float64 // bytes
}

func newCrowded(t testing.TB, kind string, ports int, l load) *crowded {
	if kind != "inproc" {
		needFiles(t, 12*(ports+10))
	}
	s := &crowded{subject: subject{local: true}}
	memory := memoryInUse
	var join func() *vde.Conn
	switch kind {
	case "inproc":
		sw := newSwitch(t, l.max())
		join = func() *vde.Conn { return attach(t, sw, l.max()) }
	case "vswitch":
		dir := serve(t, newSwitch(t, l.max()))
		join = func() *vde.Conn { return open(t, dir, l.max(), sockets...) }
	case "vswitch-shm":
		dir := serve(t, newSwitch(t, l.max()))
		join = func() *vde.Conn { return open(t, dir, l.max()) }
	case "vde_switch":
		sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{NoMgmt: true, Ports: ports + 1})
		join = func() *vde.Conn { return open(t, sw.Dir(), l.max()) }
		s.local, s.pids = false, []int{sw.PID()}
		memory = func() (float64, error) { return resident(sw.PID()) }
	}
	before, err := memory()
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]*vde.Conn, ports)
	for i := range conns {
		conns[i] = join()
	}
	after, err := memory()
	if err != nil {
		t.Fatal(err)
	}
	s.perPort = max(after-before, 0) / float64(ports)
	s.lane = newPair(t, newConn(conns[0], "batch", l.max()), newConn(conns[1], "batch", l.max()), l, batch)
	return s
}

// BenchmarkConnections has n endpoints send in turn to one. The frames are short
// and each endpoint sends a batch, so the figure is what it costs to have many
// connections that are all in use.
func BenchmarkConnections(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 2000, 10_000} {
		b.Run(fmt.Sprintf("conns=%d", n), func(b *testing.B) {
			for _, kind := range inOrder([]string{"inproc", "vswitch-shm", "vswitch"}) {
				leaf(b, "kind="+kind, func(t testing.TB) *many { return newMany(t, kind, n) }, (*many).bench)
			}
		})
	}
}

// many are endpoints that all send to one.
type many struct {
	senders []*vde.Conn
	sink    *conn
	load    *peer.Load
	next    int

	bytes, files float64 // for each connection
	opening      time.Duration
}

func newMany(t testing.TB, kind string, n int) *many {
	// The sink's senders wait for room however long it takes, so nothing is lost.
	sw := vswitch.New(vswitch.Config{NumPorts: 20_000, MaxSharedMemory: ringsForAll, DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}})
	t.Cleanup(func() { sw.Close() })
	join := func() *vde.Conn { return attach(t, sw, peer.MinSize) }
	if kind != "inproc" {
		needFiles(t, 12*(n+10))
		var opts []vde.Option
		if kind == "vswitch" {
			opts = sockets
		}
		dir := serve(t, sw)
		join = func() *vde.Conn { return open(t, dir, peer.MinSize, opts...) }
	}
	m := &many{sink: newConn(join(), "batch", 64), load: peer.NewLoad([]int{64}, batch, peer.B, peer.A)}
	if _, err := m.sink.Send([][]byte{peer.Marker(peer.Broadcast, peer.B, 0)}); err != nil {
		t.Fatal(err)
	}
	memory, err := memoryInUse()
	if err != nil {
		t.Fatal(err)
	}
	files := openfiles.Open()
	start := time.Now()
	for range n {
		m.senders = append(m.senders, join())
	}
	m.opening = time.Since(start)
	now, err := memoryInUse()
	if err != nil {
		t.Fatal(err)
	}
	m.bytes = max(now-memory, 0) / float64(n)
	m.files = float64(len(openfiles.Open().Since(files))) / float64(n)
	return m
}

func (m *many) bench(b *testing.B) {
	b.ReportAllocs()
	before := subject{}.spent(b)
	f, err := m.move(b.N)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	if f.Frames > uint64(b.N) {
		b.Fatalf("%d frames sent, %d received", b.N, f.Frames)
	}
	spent := subject{}.spent(b).minus(before)
	n := float64(f.Frames)
	b.ReportMetric(float64(f.elapsed.Nanoseconds())/n, "ns/op")
	b.ReportMetric(n/f.elapsed.Seconds(), "frames/s")
	b.ReportMetric(spent.total().Seconds()/n*1e6, "cpu-s/Mframe")
	b.ReportMetric(m.bytes, "B/conn")
	b.ReportMetric(m.files, "files/conn")
	b.ReportMetric(float64(m.opening.Microseconds())/float64(len(m.senders)), "open-µs/conn")
}

func (m *many) move(n int) (f figure, err error) {
	start := time.Now()
	sent := make(chan error, 1)
	go func() {
		for left := n; left > 0; {
			k, err := m.senders[m.next].WriteBatch(m.load.Next(left))
			if err != nil {
				m.sink.Close()
				sent <- err
				return
			}
			left -= k
			m.next = (m.next + 1) % len(m.senders)
		}
		sent <- nil
	}()
	for f.Frames < uint64(n) && err == nil {
		var frames [][]byte
		frames, err = m.sink.Recv()
		for _, b := range frames {
			if frame.Frame(b).EtherType() == frame.EtherTypeExperimental {
				f.Frames++
				f.Bytes += uint64(len(b))
			}
		}
	}
	f.elapsed = time.Since(start)
	return f, errors.Join(err, <-sent)
}

// memoryInUse is the memory of this process that holds something: what is
// reachable, and stacks.
func memoryInUse() (float64, error) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	// Both ends of a region are mapped here, so its pages are counted twice.
	shared, err := parseMemory(string(status), "RssShmem:")
	return float64(m.HeapAlloc+m.StackInuse) + shared/2, err
}

// resident is a process's memory as the kernel sees it.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseMemory(string(text), "VmRSS:")
}

// parseMemory returns a line of /proc/PID/status in bytes.
func parseMemory(status, name string) (float64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("no " + name)
}

// needFiles skips unless this process may have n descriptors. It raises the limit
// if it is allowed to. Where it is not, this is no failure even in CI: how far the
// numbers go is the machine's matter.
func needFiles(t testing.TB, n int) {
	t.Helper()
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		t.Fatal(err)
	}
	want := uint64(n + 100)
	if r.Cur >= want {
		return
	}
	r.Cur = want
	r.Max = max(r.Max, want)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		t.Skipf("missing: %d descriptors (raise ulimit -n)", n)
	}
}
