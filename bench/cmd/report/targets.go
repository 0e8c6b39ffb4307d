// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"

	"github.com/go-vde/sdk/bench/internal/report"
)

type keys = report.Keys

// Reasons for a target that is missed. The report gives them only then.

// whyBatch compares with what batches gain in C.
func whyBatch(rs report.Results) string {
	path := func(name string) keys { return keys{"size": "64", "path": name} }
	text := "On this kernel, a datagram of an AF_UNIX socket costs far more than the system call that carries it, so a batch saves little"
	if s, ok := rs.Ratio("Direct", path("c-mmsg"), path("c-one"), "frames/s"); ok {
		text += fmt.Sprintf(": in C, batches of 64-byte frames reach %s times the rate of single frames", report.Number(s.Median))
	}
	text += "."
	if s, ok := rs.Summary("Direct", path("conn-batch"), "%kernel"); ok {
		text += fmt.Sprintf(" `conn-batch` spends %s %% of its processor time in the kernel", report.Number(s.Median))
		if s, ok := rs.Ratio("Direct", path("conn-batch"), path("c-mmsg"), "cpu-s/Mframe"); ok {
			text += fmt.Sprintf(" and needs %s times the processor time of `c-mmsg`", report.Number(s.Median))
		}
		text += "."
	}
	return text + " See [the profiles](#profiles)."
}

func whyFrames(report.Results) string {
	return "`Frames` sends each frame from one goroutine to another over a channel, and its buffer returns to the pool; `ReadBatch` does neither."
}

func whySwitch(rs report.Results) string {
	text := "The figure includes two C programs, with a system call for each frame, on the same processors as the switch."
	path := func(name string) keys { return keys{"size": "64", "path": name} }
	if s, ok := rs.Ratio("Switch", path("c-vswitch"), path("c-vde_switch"), "cpu-s/Mframe"); ok {
		text += fmt.Sprintf(" The programs and `vswitch` together need %s times the processor time of the programs and `vde_switch`.", report.Number(s.Median))
	}
	return text
}

// whyTCP says what the time of a stream goes into.
func whyTCP(rs report.Results) string {
	text := "Most of the time of a stream is spent in the TCP stack, which is the same in both, and in the kernel or in copies."
	of := func(name string) keys { return keys{"mtu": "9000", "streams": "1", "stack": name} }
	if s, ok := rs.Ratio("TCP", of("netstack"), of("fdbased-buffered"), "cpu-s/GB"); ok {
		text += fmt.Sprintf(" At MTU 9000, `netstack` needs %s times the processor time of `fdbased-buffered` for a gigabyte.", report.Number(s.Median))
	}
	return text
}

// whyShort is about streams that are not divided into segments of the MTU.
func whyShort(rs report.Results) string {
	text := "`fdbased-vnet` passes TCP segments of up to 64 KB on undivided and without checksums, as ports in process do; `sharedmem` leaves out checksums, and its packets are as long at MTU 65520. Between two ports in process, a segment crosses the switch and two connections."
	of := func(name string) keys { return keys{"mtu": "1500", "streams": "1", "stack": name} }
	if s, ok := rs.Ratio("TCP", of("netstack-inproc"), of("fdbased-vnet"), "cpu-s/GB"); ok {
		text += fmt.Sprintf(" At MTU 1500, `netstack-inproc` needs %s times the processor time of `fdbased-vnet` for a gigabyte.", report.Number(s.Median))
	}
	return text
}

// whySwitched is about streams through a switch in a process of its own.
func whySwitched(rs report.Results) string {
	text := "`netstack-shm` is three processes, and the switch copies each frame from one region of shared memory to another. The endpoints of gVisor are two processes without a switch."
	of := func(name string) keys { return keys{"mtu": "1500", "streams": "1", "stack": name} }
	for _, rival := range []string{"fdbased-vnet-processes", "sharedmem-processes"} {
		if s, ok := rs.Ratio("TCP", of("netstack-shm"), of(rival), "cpu-s/GB"); ok {
			text += fmt.Sprintf(" At MTU 1500, `netstack-shm` needs %s times the processor time of `%s` for a gigabyte.", report.Number(s.Median), rival)
		}
	}
	return text
}

func whyLatency(report.Results) string {
	return "A round trip is a few wake-ups of goroutines and threads. One through a switch in another process has four of them, one between two processes has two."
}

// core returns the targets of package vde.
func core() (ts []report.Target) {
	for _, size := range []string{"64", "1514", "9014"} {
		path := func(name string) keys { return keys{"size": size, "path": name} }
		ts = append(ts,
			report.Target{What: size + " B: `conn-batch` to C with `sendmmsg`/`recvmmsg`", Suite: "Direct", A: path("conn-batch"), B: path("c-mmsg"), Unit: "frames/s", Want: 0.9, Why: whyBatch},
			report.Target{What: size + " B: `conn-batch` to C with one frame per call", Suite: "Direct", A: path("conn-batch"), B: path("c-one"), Unit: "frames/s", Want: 1, Why: whyBatch},
			report.Target{What: size + " B: `conn-batch` to Go with bare `sendmmsg`/`recvmmsg`", Suite: "Direct", A: path("conn-batch"), B: path("go-mmsg"), Unit: "frames/s"},
			report.Target{What: size + " B: `conn-one` to C with one frame per call", Suite: "Direct", A: path("conn-one"), B: path("c-one"), Unit: "frames/s"},
			report.Target{What: size + " B: C with `sendmmsg`/`recvmmsg` to C with one frame per call", Suite: "Direct", A: path("c-mmsg"), B: path("c-one"), Unit: "frames/s"},
			report.Target{What: size + " B: `conn-frames` to `conn-batch`", Suite: "Direct", A: path("conn-frames"), B: path("conn-batch"), Unit: "frames/s", Want: 0.85, Why: whyFrames},
			report.Target{What: size + " B: processor time of `conn-batch` to that of C with `sendmmsg`/`recvmmsg`", Suite: "Direct", A: path("conn-batch"), B: path("c-mmsg"), Unit: "cpu-s/Mframe"},
		)
	}
	return ts
}

// vswitch returns the targets of package vswitch.
func vswitch() (ts []report.Target) {
	for _, size := range []string{"64", "1514"} {
		path := func(name string) keys { return keys{"size": size, "path": name} }
		ratio := func(what, a, b string, want float64, why func(report.Results) string) {
			ts = append(ts, report.Target{What: size + " B: " + what, Suite: "Switch", A: path(a), B: path(b), Unit: "frames/s", Want: want, Why: why})
		}
		ratio("C clients, `vswitch` to `vde_switch`", "c-vswitch", "c-vde_switch", 1.2, whySwitch)
		ts = append(ts, report.Target{What: size + " B: processor time with C clients, `vswitch` to `vde_switch`", Suite: "Switch", A: path("c-vswitch"), B: path("c-vde_switch"), Unit: "cpu-s/Mframe"})
		ratio("ports in process to `vde_switch` with C clients", "inproc", "c-vde_switch", 10, nil)
		ratio("C clients, `vswitch` to vdeplug4's `switch://`", "c-vswitch", "c-vdeplug4", 0, nil)
		ratio("Go clients, `vswitch` to `vde_switch`", "vswitch", "vde_switch", 0, nil)
		ratio("Go with `vde` to Go with cgo, both on `vswitch`", "vswitch", "cgo-vswitch", 0, nil)
		ratio("`vswitch` to gvisor-tap-vsock, a frame per packet", "vswitch", "gvtap-packet", 0, nil)
		ratio("`vswitch` to gvisor-tap-vsock, a stream", "vswitch", "gvtap-stream", 0, nil)
		ratio("`vswitch` to the kernel's bridge with taps", "vswitch", "bridge", 0, nil)
	}
	return ts
}

// whyShared is about three processes on few processors.
func whyShared(rs report.Results) string {
	path := func(name string) keys { return keys{"size": "64", "path": name} }
	text := "The two endpoints and the switch are three processes that share the processors of this machine."
	if s, ok := rs.Ratio("Switch", path("shm"), path("c-vde_switch"), "cpu-s/Mframe"); ok {
		text += fmt.Sprintf(" For 64-byte frames, they need %s times the processor time of the C programs and `vde_switch`.", report.Number(s.Median))
	}
	return text
}

// whyWake is about single frames, each of which wakes a process that sleeps.
func whyWake(report.Results) string {
	return "An endpoint that expects an answer polls for up to 200 µs if the processors are otherwise idle. A later answer costs up to four wake-ups, each through a socket, the poller of the Go runtime and its scheduler. C programs and `vde_switch` wake up inside the system call in which they wait."
}

// whyStreams is about what a frame of its own write costs.
func whyStreams(report.Results) string {
	return "Copies of the bytes cost both the same. What a batch saves is a system call for each frame, which weighs less in a long one."
}

// streams returns the targets of frames on byte streams.
func streams() (ts []report.Target) {
	for _, t := range []struct {
		size string
		want float64
	}{{"64", 15}, {"1514", 5}} {
		path := func(name string) keys { return keys{"size": t.size, "path": name} }
		for _, other := range []string{"stream-one", "stream-batch"} {
			want := t.want
			if other != "stream-one" {
				want = 0
			}
			ts = append(ts, report.Target{What: t.size + " B: `links-stream` to `" + other + "`", Suite: "Streams", A: path("links-stream"), B: path(other), Unit: "frames/s", Want: want, Why: whyStreams})
		}
	}
	return ts
}

// sharedMemory returns the targets of frames through shared memory.
func sharedMemory() (ts []report.Target) {
	for _, t := range []struct {
		size          string
		want, streams float64
	}{{"64", 10, 6}, {"1514", 6, 0}} {
		path := func(name string) keys { return keys{"size": t.size, "path": name} }
		ratio := func(what, a, b, unit string, want float64) {
			ts = append(ts, report.Target{What: t.size + " B: " + what, Suite: "Switch", A: path(a), B: path(b), Unit: unit, Want: want, Why: whyShared})
		}
		ratio("`shm` to C clients on `vde_switch`", "shm", "c-vde_switch", "frames/s", t.want)
		ratio("processor time, `shm` to C clients on `vde_switch`", "shm", "c-vde_switch", "cpu-s/Mframe", 0)
		ratio("`shm` to C clients on vdeplug4's `switch://`", "shm", "c-vdeplug4", "frames/s", 0)
		ratio("`shm` to the same over sockets", "shm", "sockets", "frames/s", 0)
		ratio("`shm` to the kernel's bridge with taps", "shm", "bridge", "frames/s", 0)
		ratio("`streams` to the same over sockets", "streams", "sockets", "frames/s", t.streams)
	}
	for _, q := range []struct {
		unit, name string
		want       float64
	}{{"p50-ns", "median", 0.5}, {"p99-ns", "99 %", 0}} {
		ts = append(ts, report.Target{What: "round trip, " + q.name + ": `shm` to C clients on `vde_switch`", Suite: "RTT",
			A: keys{"load": "closed", "path": "shm"}, B: keys{"load": "closed", "path": "c-vde_switch"}, Unit: q.unit, Want: q.want, Lower: true, Why: whyWake})
	}
	return append(ts, sharedTCP()...)
}

// tcp compares two stacks in one suite of TCP.
func tcp(what, mtu, streams, a, b string, want float64, why func(report.Results) string) report.Target {
	stack := func(name string) keys { return keys{"mtu": mtu, "streams": streams, "stack": name} }
	return report.Target{What: what + ", MTU " + mtu + ": `" + a + "` to `" + b + "`", Suite: "TCP", A: stack(a), B: stack(b), Unit: "Gbit/s", Want: want, Why: why}
}

// sharedTCP returns the targets of TCP through shared memory. Its natural rivals are
// the endpoints of gVisor that carry GSO packets, or share memory, between processes.
func sharedTCP() (ts []report.Target) {
	for _, t := range []struct {
		mtu, other string
		want       float64
		why        func(report.Results) string
	}{
		{"1500", "sharedmem-processes", 1, whySwitched},
		{"1500", "fdbased-vnet-processes", 1, whySwitched},
		{"65520", "sharedmem-processes", 1, whySwitched},
		{"65520", "fdbased-vnet-processes", 1, whySwitched},
		{"1500", "fdbased-buffered", 9, whyTCP},
		{"1500", "fdbased", 0, whyTCP},
		{"1500", "netstack-sockets", 0, whyTCP},
		{"1500", "memcpy", 0, whyTCP},
	} {
		ts = append(ts, tcp("TCP, one stream", t.mtu, "1", "netstack-shm", t.other, t.want, t.why))
	}
	for _, other := range []string{"sharedmem-processes", "fdbased-vnet-processes"} {
		ts = append(ts, report.Target{What: "TCP round trip, median: `netstack-shm` to `" + other + "`", Suite: "TCPLatency",
			A: keys{"stack": "netstack-shm"}, B: keys{"stack": other}, Unit: "p50-ns", Want: 1, Lower: true, Why: whyLatency})
	}
	return ts
}

// netstack returns the targets of module netstack. The rival of frames of the MTU on
// sockets is fdbased with a buffer that loses nothing; that of GSO packets in process
// are fdbased with a virtio-net header and sharedmem.
func netstack() (ts []report.Target) {
	for _, t := range []struct {
		mtu  string
		want float64
	}{{"1500", 2}, {"9000", 4}, {"65520", 1}} {
		ts = append(ts,
			tcp("one stream", t.mtu, "1", "netstack", "fdbased-buffered", t.want, whyTCP),
			tcp("one stream", t.mtu, "1", "netstack", "fdbased", 0, whyTCP),
			tcp("one stream", t.mtu, "1", "netstack", "fdbased-fifo", 0, whyTCP),
			tcp("one stream", t.mtu, "1", "netstack-inproc", "fdbased-vnet", 1, whyShort),
			tcp("one stream", t.mtu, "1", "netstack-inproc", "sharedmem", 1, whyShort),
		)
	}
	for _, q := range []struct{ unit, name string }{{"p50-ns", "median"}, {"p99-ns", "99 %"}} {
		for _, pair := range [][2]string{{"netstack", "fdbased"}, {"netstack-inproc", "sharedmem"}} {
			ts = append(ts, report.Target{What: "round trip, " + q.name + ": `" + pair[0] + "` to `" + pair[1] + "`", Suite: "TCPLatency",
				A: keys{"stack": pair[0]}, B: keys{"stack": pair[1]}, Unit: q.unit, Want: 1, Lower: true, Why: whyLatency})
		}
	}
	return ts
}
