// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import "github.com/go-vde/sdk/bench/internal/report"

// because returns a reason that needs no figures.
func because(text string) func(report.Results) string {
	return func(report.Results) string { return text }
}

// Reasons why somebody else is ahead.
var (
	becauseCalls = because("One frame per call pays for the call: its way through package vde (locks, deadlines, counters) and through the runtime comes on top of the kernel's work, which in C is all there is. Batches spread it.")

	becauseCopies = because("The channel hands a buffer over, which was copied into once; a port copies out of it as well, as `ReadBatch` promises. `Frames` does not.")

	becauseAsleep = because("Source, switch and sink sleep when the frame comes. Here each of the four turns is an event descriptor or a socket, the runtime's poller, its scheduler, and a thread that has to be found; C's programs and `vde_switch` are woken inside the call that they wait in. Polling helps where the next frame comes within 200 µs, and is not done where that would be in vain.")

	becauseKernel = because("The kernel's bridge forwards inside the sender's own system call; a switch in user space has to be woken, or at least called, for each direction.")

	becauseLarge = because("With frames so long the time goes into copying. The kernel copies twice, in and out; through a switch in user space it is done once more, by the switch.")

	becauseParked = because("Most likely: a socket of ours that is waited for hangs in an epoll instance of its own inside the runtime's, and is tried for up to 25 µs before. What makes streams faster costs a single frame some microseconds.")

	becauseMemory = because("`vde_switch` has one loop for all ports and next to nothing for each. A port of ours has a queue of 512 places, or two goroutines with their stacks, and the figure contains the station's half, which is in the same process.")
)

func sizeName(size string) string {
	if size == "imix" {
		return "IMIX"
	}
	return size + " B"
}

// comparisons are those in which others are known to have been ahead at some time.
func comparisons() (ts []report.Target) {
	for _, size := range []string{"64", "512", "1514", "9014", "65000", "imix"} {
		path := func(name string) keys { return keys{"size": size, "path": name} }
		name := sizeName(size)
		ts = append(ts,
			report.Target{What: name + ": frames/s, `conn-one` to `c-one`", Suite: "Cable", A: path("conn-one"), B: path("c-one"), Unit: "frames/s", Why: becauseCalls},
			report.Target{What: name + ": frames/s, `inproc` to `channel`", Suite: "Cable", A: path("inproc"), B: path("channel"), Unit: "frames/s", Why: becauseCopies},
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
	for _, ours := range []string{"inproc", "vswitch-shm", "vswitch"} {
		of := func(name string) keys { return keys{"ports": "1000", "switch": name} }
		ts = append(ts, report.Target{What: "memory for a port, of 1,000: `" + ours + "` to `vde_switch`", Suite: "Ports", A: of(ours), B: of("vde_switch"), Unit: "B/port", Lower: true, Why: becauseMemory})
	}
	return ts
}
