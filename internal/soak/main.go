// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Soak loads networks of all kinds for a given time, injects faults, and accounts for
// every frame. In the repository's internal/soak:
//
//	go run . -time 1h
//
// There are two kinds of network. In a clean one, the number of frames sent is the
// number delivered plus the number dropped for each cause, exactly: its stations are
// connections of every kind, in-process ports, C programs on libvdeplug, and TCP/IP
// hosts. In a crashing one, the switch is a process that is killed. What is lost is
// not counted by anything: frames in the switch and in the kernel's queues to it.
// The senders' windows bound how many those can be.
//
// Soak prints its seed first. The exit status is 1 after a violation. Writers pause so
// that no more than half a processor is used; see -cpu.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/go-vde/sdk/pool"
)

// A config is what the flags say.
type config struct {
	time   time.Duration
	warmUp time.Duration
	epoch  time.Duration // between two counts
	sample time.Duration
	seed   uint64
	cpu    float64
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == serveCommand {
		if err := serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var c config
	flag.DurationVar(&c.time, "time", time.Minute, "`duration` of the run")
	flag.DurationVar(&c.warmUp, "warmup", 5*time.Second, "`duration` of the load before the state is taken that the end is compared with")
	flag.DurationVar(&c.epoch, "epoch", 20*time.Second, "`duration` between two counts of all frames")
	flag.DurationVar(&c.sample, "sample", 10*time.Second, "`duration` between two samples of goroutines, descriptors and memory")
	flag.Uint64Var(&c.seed, "seed", rand.Uint64(), "`seed` of all random numbers, random unless given")
	flag.Float64Var(&c.cpu, "cpu", 0.5, "`number` of processors to use, children included")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if violations := run(ctx, c, os.Stdout); violations > 0 {
		os.Exit(1)
	}
}

// A soak is one run.
type soak struct {
	cfg    config
	began  time.Time
	gov    *governor
	pool   *pool.Pool // of all connections that deliver to a channel
	totals totals

	mu         sync.Mutex // serializes output
	out        io.Writer
	violations int
}

// run loads the networks and returns the number of violations.
func run(ctx context.Context, cfg config, out io.Writer) (violations int) {
	s := &soak{cfg: cfg, began: time.Now(), gov: newGovernor(cfg.cpu), pool: pool.New(maxFrame, 0), out: out}
	s.print("soak: seed %d, %v, %s, %s/%s, %d processors, %s", cfg.seed, cfg.time, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), kernel())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background sync.WaitGroup
	background.Go(func() { s.gov.run(ctx) })

	// A first load that is not counted makes everything that is made once and kept.
	s.rounds(ctx, cfg.warmUp, min(cfg.epoch, cfg.warmUp))
	s.totals = totals{}
	debug.FreeOSMemory()
	start := s.takeSample()
	s.print("warm after %v: goroutines %.0f, descriptors %.0f, heap %.2f MiB", time.Since(s.began).Round(time.Millisecond), start.goroutines, start.fds, start.heap/(1<<20))

	var samples []sample
	watching, stopWatching := context.WithCancel(ctx)
	begin := time.Now()
	background.Go(func() { samples = s.watch(watching) })
	s.rounds(ctx, cfg.time, cfg.epoch)
	length := time.Since(begin)
	stopWatching()
	cancelled := ctx.Err() != nil
	cancel()
	background.Wait()

	s.print("--- after %v, seed %d", length.Round(time.Second), cfg.seed)
	s.totals.report(s)
	s.trends(samples)
	start.goroutines-- // the governor, which has ended
	s.compare(start)
	if cancelled {
		s.print("it was interrupted")
	}
	s.print("%d violations", s.violations)
	return s.violations
}

// rounds runs all networks side by side for d.
func (s *soak) rounds(ctx context.Context, d, epoch time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var all sync.WaitGroup
	for i, live := range []func(context.Context, *rand.Rand, time.Duration){s.runClean, s.runKilled, s.runUpgraded} {
		all.Go(func() { live(ctx, rand.New(rand.NewPCG(s.cfg.seed, uint64(i))), epoch) })
	}
	all.Wait()
}

// print writes a line.
func (s *soak) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// note writes a line with the time.
func (s *soak) note(format string, args ...any) {
	s.print("%8.1f %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// violate reports a violation.
func (s *soak) violate(format string, args ...any) {
	s.note("VIOLATION: %s", fmt.Sprintf(format, args...))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations++
}

// until calls cond at growing intervals until it holds. It returns false if cond does
// not hold within d or before ctx ends. It serves to wait for what happens in the
// kernel or in other processes, without an event.
func until(ctx context.Context, d time.Duration, cond func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for p := time.Millisecond; ; p = min(2*p, 50*time.Millisecond) {
		if cond() {
			return true
		}
		if !pause(ctx, p) {
			return cond()
		}
	}
}
