// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import "github.com/go-vde/sdk/bench/internal/report"

// because returns a reason that needs no figures.
func because(text string) func(report.Results) string {
	return func(report.Results) string { return text }
}

// Reasons why another path is ahead.
var (
	becauseCalls = because("With one frame per call, locks, deadlines and counters of package vde and the work of the Go runtime come on top of the system call, which is all that C does. A batch pays for them once.")

	becauseCopies = because("A frame is copied once into a buffer of the channel. `ReadBatch` copies it a second time, into the buffer of the caller; `Frames` does not.")

	becauseAsleep = because("Both endpoints and the switch sleep when a frame arrives, so a round trip wakes a program four times. In Go, a wake-up is a socket, the poller of the runtime, its scheduler and a thread; C programs and `vde_switch` wake up inside the system call in which they wait. The SDK polls for up to 200 µs where a frame is expected within that time.")

	becauseKernel = because("The kernel's bridge forwards a frame inside the system call of the sender. A switch in user space is woken, or called, once for each direction.")

	becauseLarge = because("Frames of this size spend their time in copies. The kernel's bridge copies twice, in and out; a switch in user space copies once more.")

	becauseParked = because("The likely reason: a `vde.Conn` tries its socket for up to 25 µs and then waits in an epoll instance of its own, inside that of the runtime. This makes streams of frames faster and a single frame some microseconds slower.")

	becauseMemory = because("`vde_switch` serves all ports from one loop and keeps little for each. A port of `vswitch` has a queue of 512 frames, or two goroutines with their stacks, and the figure includes the `vde.Conn` of the endpoint, which is in the same process.")
)

func sizeName(size string) string {
	if size == "imix" {
		return "IMIX"
	}
	return size + " B"
}

// comparisons are those in which another path has been ahead in some run.
func comparisons() (ts []report.Target) {
	for _, size := range []string{"64", "512", "1514", "9014", "65000", "imix"} {
		path := func(name string) keys { return keys{"size": size, "path": name} }
		name := sizeName(size)
		ts = append(ts,
			report.Target{What: name + ": frames/s, `conn-one` to `c-one`", Suite: "Direct", A: path("conn-one"), B: path("c-one"), Unit: "frames/s", Why: becauseCalls},
			report.Target{What: name + ": frames/s, `inproc` to `channel`", Suite: "Direct", A: path("inproc"), B: path("channel"), Unit: "frames/s", Why: becauseCopies},
		)
		for _, ours := range []string{"vswitch", "vswitch-shm", "shm"} {
			ts = append(ts, report.Target{What: name + ": frames/s, `" + ours + "` to `bridge`", Suite: "Switch", A: path(ours), B: path("bridge"), Unit: "frames/s", Why: becauseLarge})
		}
	}
	for _, load := range []string{"closed", "1000", "10000"} {
		path := func(name string) keys { return keys{"load": load, "path": name} }
		name := "round trip, closed loop"
		if load != "closed" {
			name = "round trip, " + load + "/s"
		}
		pair := func(ours, theirs string, why func(report.Results) string) {
			ts = append(ts, report.Target{What: name + ": median, `" + ours + "` to `" + theirs + "`", Suite: "RTT", A: path(ours), B: path(theirs), Unit: "p50-ns", Lower: true, Why: why})
		}
		pair("shm", "c-vde_switch", becauseAsleep)
		pair("sockets", "c-vde_switch", becauseAsleep)
		pair("c-vswitch", "c-vde_switch", becauseAsleep)
		pair("vswitch", "gvtap-packet", becauseParked)
		pair("vswitch", "bridge", becauseKernel)
		pair("vswitch-shm", "bridge", becauseKernel)
	}
	ts = append(ts, tcpComparisons()...)
	for _, ours := range []string{"inproc", "vswitch-shm", "vswitch"} {
		of := func(name string) keys { return keys{"ports": "1000", "switch": name} }
		ts = append(ts, report.Target{What: "memory for a port, of 1,000: `" + ours + "` to `vde_switch`", Suite: "Ports", A: of(ours), B: of("vde_switch"), Unit: "B/port", Lower: true, Why: becauseMemory})
	}
	return ts
}

// tcpComparisons are those with the natural rivals of each stack of netstack.
func tcpComparisons() (ts []report.Target) {
	for _, pair := range []struct {
		ours, theirs string
		why          func(report.Results) string
	}{
		{"netstack", "fdbased-buffered", whyTCP},
		{"netstack-inproc", "fdbased-vnet", whyShort},
		{"netstack-inproc", "sharedmem", whyShort},
		{"netstack-shm", "fdbased-vnet-processes", whySwitched},
		{"netstack-shm", "sharedmem-processes", whySwitched},
	} {
		for _, streams := range []string{"1", "8", "64"} {
			what := "TCP, " + streams + " streams"
			if streams == "1" {
				what = "TCP, one stream"
			}
			for _, mtu := range []string{"1500", "9000", "65520"} {
				ts = append(ts, tcp(what, mtu, streams, pair.ours, pair.theirs, 0, pair.why))
			}
		}
		ts = append(ts, report.Target{What: "TCP round trip, median: `" + pair.ours + "` to `" + pair.theirs + "`", Suite: "TCPLatency",
			A: keys{"stack": pair.ours}, B: keys{"stack": pair.theirs}, Unit: "p50-ns", Lower: true, Why: whyLatency})
	}
	return ts
}
