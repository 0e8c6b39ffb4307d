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

func whyTCP(rs report.Results) string {
	text := "The rate of `fdbased` varies with its losses, from a full stall to few retransmissions."
	of := func(name string) keys { return keys{"mtu": "9000", "streams": "1", "stack": name} }
	if s, ok := rs.Ratio("TCP", of("netstack"), of("fdbased"), "cpu-s/GB"); ok {
		text += fmt.Sprintf(" At MTU 9000, `netstack` needs %s times the processor time of `fdbased` for a gigabyte, most of it in the TCP stack, which is the same in both, and in the kernel.", report.Number(s.Median))
	}
	return text
}

func whyLatency(report.Results) string {
	return "Both times are those of a few wake-ups of goroutines; see the spread."
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

// sharedMemory returns the targets of frames through shared memory.
func sharedMemory() (ts []report.Target) {
	for _, t := range []struct {
		size string
		want float64
	}{{"64", 10}, {"1514", 6}} {
		path := func(name string) keys { return keys{"size": t.size, "path": name} }
		ratio := func(what, a, b, unit string, want float64) {
			ts = append(ts, report.Target{What: t.size + " B: " + what, Suite: "Switch", A: path(a), B: path(b), Unit: unit, Want: want, Why: whyShared})
		}
		ratio("`shm` to C clients on `vde_switch`", "shm", "c-vde_switch", "frames/s", t.want)
		ratio("processor time, `shm` to C clients on `vde_switch`", "shm", "c-vde_switch", "cpu-s/Mframe", 0)
		ratio("`shm` to C clients on vdeplug4's `switch://`", "shm", "c-vdeplug4", "frames/s", 0)
		ratio("`shm` to the same over sockets", "shm", "sockets", "frames/s", 0)
		ratio("`shm` to the kernel's bridge with taps", "shm", "bridge", "frames/s", 0)
	}
	for _, q := range []struct {
		unit, name string
		want       float64
	}{{"p50-ns", "median", 0.5}, {"p99-ns", "99 %", 0}} {
		ts = append(ts, report.Target{What: "round trip, " + q.name + ": `shm` to C clients on `vde_switch`", Suite: "RTT",
			A: keys{"load": "closed", "path": "shm"}, B: keys{"load": "closed", "path": "c-vde_switch"}, Unit: q.unit, Want: q.want, Lower: true, Why: whyWake})
	}
	for _, t := range []struct {
		mtu, other string
		want       float64
	}{{"1500", "fdbased", 9}, {"1500", "fdbased-fifo", 9}, {"1500", "netstack-sockets", 0}, {"1500", "memcpy", 0}, {"9000", "fdbased", 0}} {
		stack := func(name string) keys { return keys{"mtu": t.mtu, "streams": "1", "stack": name} }
		ts = append(ts, report.Target{What: "TCP, one stream, MTU " + t.mtu + ": `netstack-shm` to `" + t.other + "`", Suite: "TCP",
			A: stack("netstack-shm"), B: stack(t.other), Unit: "Gbit/s", Want: t.want, Why: whyTCP})
	}
	return ts
}

// netstack returns the targets of module netstack.
func netstack() (ts []report.Target) {
	for _, t := range []struct {
		mtu  string
		want float64
	}{{"1500", 2}, {"9000", 4}, {"65520", 0}} {
		for _, other := range []string{"fdbased", "fdbased-fifo"} {
			stack := func(name string) keys { return keys{"mtu": t.mtu, "streams": "1", "stack": name} }
			ts = append(ts, report.Target{What: "one stream, MTU " + t.mtu + ": `netstack` to `" + other + "`", Suite: "TCP",
				A: stack("netstack"), B: stack(other), Unit: "Gbit/s", Want: t.want, Why: whyTCP})
		}
	}
	for _, q := range []struct{ unit, name string }{{"p50-ns", "median"}, {"p99-ns", "99 %"}} {
		ts = append(ts, report.Target{What: "round trip, " + q.name + ": `netstack` to `fdbased`", Suite: "TCPLatency",
			A: keys{"stack": "netstack"}, B: keys{"stack": "fdbased"}, Unit: q.unit, Want: 1, Lower: true, Why: whyLatency})
	}
	return ts
}
