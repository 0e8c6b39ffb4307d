// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-vde/sdk/vswitch"
)

// report prints the endpoints of each port, how fast each flow was, and where each
// lost frame was dropped. It fails if frames are missing
// that nobody has counted.
func report(out io.Writer, sw *vswitch.Switch, flows []*flow, elapsed time.Duration) error {
	stats := sw.Stats()
	byPort := make(map[int]vswitch.PortStats, len(stats.Ports))
	for _, p := range stats.Ports {
		byPort[p.Port] = p
	}

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "port\tendpoints\tFDB entries\tframes in\tframes out\tdropped\t")
	var dropped uint64
	for _, p := range sw.Ports() {
		s := byPort[p.Number]
		lost := s.In.Dropped.Sum() + s.Out.Dropped.Sum()
		dropped += lost
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%d\t%d\t\n", p.Number, endpoints(p), p.FDBEntries, s.In.Frames, s.Out.Frames, lost)
	}
	if err := w.Flush(); err != nil {
		return err
	}

	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "flow\tpath\tsent\treceived\tlost\tframes/s\tGbit/s\t")
	var sent, received, misplaced int64
	for _, f := range flows {
		n := f.received.Load()
		rate := float64(n) / f.elapsed.Seconds()
		fmt.Fprintf(w, "%s to %s\t%s to %s\t%d\t%d\t%d\t%.0f\t%.2f\t\n", f.from.name, f.to.name, f.from.how, f.to.how,
			f.sent.Load(), n, f.sent.Load()-n, rate, rate*float64(f.size)*8/1e9)
		sent += f.sent.Load()
		received += n
		misplaced += f.misplaced.Load()
	}
	if err := w.Flush(); err != nil {
		return err
	}

	fmt.Fprintf(out, "\n%d frames in %.2f s, %d lost, %d out of order. The switch counts %d drops.\n",
		received, elapsed.Seconds(), sent-received, misplaced, dropped)
	if uncounted := sent - received - int64(dropped); uncounted != 0 {
		return fmt.Errorf("%d frames are missing without being counted", uncounted)
	}
	return nil
}

// endpoints names the endpoints of a port.
func endpoints(p vswitch.PortInfo) string {
	var texts []string
	for _, c := range p.Endpoints {
		text, _, _ := strings.Cut(c.Description, " user=")
		texts = append(texts, fmt.Sprintf("%s (%s)", printable(text), c.Kind))
	}
	return strings.Join(texts, ", ")
}

// A framesResult is what vde demo frames --json prints.
type framesResult struct {
	Seconds float64             `json:"seconds"`
	Flows   []flowResult        `json:"flows"`
	Ports   []vswitch.PortStats `json:"ports"`
}

// A flowResult is one flow of a framesResult.
type flowResult struct {
	From       string  `json:"from"`
	To         string  `json:"to"`
	FrameBytes int     `json:"frame_bytes"`
	Sent       int64   `json:"sent"`
	Received   int64   `json:"received"`
	OutOfOrder int64   `json:"out_of_order"`
	Seconds    float64 `json:"seconds"`
}

func resultOf(sw *vswitch.Switch, flows []*flow, elapsed time.Duration) framesResult {
	result := framesResult{Seconds: elapsed.Seconds(), Ports: sw.Stats().Ports}
	for _, f := range flows {
		result.Flows = append(result.Flows, flowResult{f.from.name, f.to.name, f.size,
			f.sent.Load(), f.received.Load(), f.misplaced.Load(), f.elapsed.Seconds()})
	}
	return result
}
