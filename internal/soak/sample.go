// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"
)

// A sample is what the process holds at one moment.
type sample struct {
	at         time.Duration // since the start
	goroutines float64
	fds        float64
	live       float64 // buffers of the pools
	heap       float64 // bytes after a collection
}

// A series is one figure of the samples.
type series struct {
	name  string
	unit  float64 // divides the figure for printing
	of    func(sample) float64
	slack float64 // growth in a whole run that is no leak, whatever the mean
}

var allSeries = []series{
	{"goroutines", 1, func(s sample) float64 { return s.goroutines }, 20},
	{"descriptors", 1, func(s sample) float64 { return s.fds }, 20},
	{"live buffers", 1, func(s sample) float64 { return s.live }, 300},
	{"heap MiB", 1 << 20, func(s sample) float64 { return s.heap }, 6 << 20},
}

// takeSample collects garbage first, so that the heap is what is really held.
func (s *soak) takeSample() sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, _ := os.ReadDir("/proc/self/fd")
	return sample{
		at: time.Since(s.began), goroutines: float64(runtime.NumGoroutine()),
		fds: float64(len(fds)), live: float64(s.pool.Stats().Live), heap: float64(m.HeapAlloc),
	}
}

// watch takes samples until ctx ends.
func (s *soak) watch(ctx context.Context) (samples []sample) {
	for pause(ctx, s.cfg.sample) {
		m := s.takeSample()
		samples = append(samples, m)
		s.note("goroutines %.0f, descriptors %.0f, live buffers %.0f, heap %.1f MiB; %.2f processors, pause %v; %v",
			m.goroutines, m.fds, m.live, m.heap/(1<<20), float64(s.gov.used.Load())/1000,
			time.Duration(s.gov.pause.Load()).Round(time.Microsecond), s.totals.String())
	}
	return samples
}

// fewest is how many samples a trend is judged by.
const fewest = 30

// trends prints the linear fit of each series, and reports growth.
func (s *soak) trends(samples []sample) {
	if len(samples) < 2 {
		return
	}
	length := samples[len(samples)-1].at - samples[0].at
	for _, w := range allSeries {
		mean, slope := fit(samples, w.of)
		growth := slope * length.Seconds()
		s.print("%-13s mean %8.1f, fit %+9.3f an hour, %+7.2f in this run", w.name, mean/w.unit, slope*3600/w.unit, growth/w.unit)
		if len(samples) >= fewest && growth > max(w.slack, mean/10) {
			s.violate("%s grow: %+.2f in %v, mean %.1f", w.name, growth/w.unit, length.Round(time.Second), mean/w.unit)
		}
	}
}

// fit returns the mean of a figure and its least-squares slope per second.
func fit(samples []sample, of func(sample) float64) (mean, slope float64) {
	var mt float64
	for _, m := range samples {
		mt += m.at.Seconds()
		mean += of(m)
	}
	n := float64(len(samples))
	mt, mean = mt/n, mean/n
	var up, down float64
	for _, m := range samples {
		dt := m.at.Seconds() - mt
		up += dt * (of(m) - mean)
		down += dt * dt
	}
	if down > 0 {
		slope = up / down
	}
	return mean, slope
}

// compare waits until what is being released is released and compares the end with
// the start.
func (s *soak) compare(start sample) {
	const heapSlack = 4 << 20 // caches of the runtime and of gVisor
	var end sample
	same := func() bool {
		end = s.takeSample()
		return end.goroutines <= start.goroutines && end.fds <= start.fds && end.live == 0 && end.heap <= start.heap+heapSlack
	}
	until(context.Background(), 10*time.Second, same)
	line := fmt.Sprintf("goroutines %.0f -> %.0f, descriptors %.0f -> %.0f, live buffers %.0f -> %.0f, heap %.2f -> %.2f MiB",
		start.goroutines, end.goroutines, start.fds, end.fds, start.live, end.live, start.heap/(1<<20), end.heap/(1<<20))
	s.print("at rest, start -> end: %s", line)
	if !same() {
		buf := make([]byte, 1<<20)
		s.violate("something is left at the end: %s\n%s", line, buf[:runtime.Stack(buf, true)])
	}
}
