// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A thousand processes join at the same time, speak, and are killed at the same
// time: the switch has their ports free again and has lost count of nothing.
func TestThousandClients(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	// They all send to one, who reads.
	const sinkPort = 4000
	sw, dir := start(t, vswitch.Config{MaxPending: n, Ports: map[int]vswitch.PortConfig{
		sinkPort: withStatic(macB, vswitch.PortConfig{Wait: vswitch.Forever}),
	}})
	sink := attach(t, sw, sinkPort)
	var got atomic.Int64
	go func() {
		for f := range sink.Frames() {
			got.Add(1)
			f.Release()
		}
	}()
	before := openfiles.Open()
	peers := make([]*testpeers.CPeer, n)
	for i := range peers {
		peers[i] = testpeers.NewCPeer(t, testpeers.CPeerConfig{
			Role: testpeers.CSource, Network: dir, MAC: [6]byte{2, 0, 0, 9, byte(i >> 8), byte(i)}, Peer: macB, Count: 10,
		})
	}
	var starting sync.WaitGroup
	for _, p := range peers {
		starting.Go(func() {
			if err := p.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if k := len(active(sw)) - 1; k != n {
		t.Errorf("%d ports for %d clients", k, n)
	}
	for _, p := range peers {
		if err := p.Begin(); err != nil {
			t.Error(err)
		}
	}
	until(t, "all frames came", func() bool { return got.Load() == int64(10*n) })
	if s := sw.Stats(); s.FDB.Entries != n+1 {
		t.Errorf("%d stations of %d", s.FDB.Entries, n)
	}
	for _, p := range peers {
		starting.Go(p.Kill)
	}
	starting.Wait()
	until(t, "all are gone", func() bool { return len(active(sw)) == 1 })
	until(t, "their sockets are closed", func() bool {
		return !slices.ContainsFunc(openfiles.Open().Since(before), func(f openfiles.File) bool {
			return strings.HasPrefix(f.What, "socket:")
		})
	})
	checkAccounts(t, sw.Stats())
	across(t, open(t, dir), open(t, dir))
}

// memoryEnv tells this test binary to load a switch with little memory. Its value is
// a number of batches and the directory of the switch.
const memoryEnv = "GO_VDE_VSWITCH_MEMORY"

// TestMemoryLimit floods readers that do not read, in a process that may not
// have more than 64 MiB of heap, and little more address space than it has at the
// start: what cannot be delivered is dropped and counted, and memory does not grow
// with it. (What a Go program does when the system really has no memory is to end;
// there is no error that could be returned.)
func TestMemoryLimit(t *testing.T) {
	batches := 2000 // 1.2 GB, twenty times
	if raceEnabled && testing.Short() {
		batches = 300
	}
	cmd := exec.CommandContext(t.Context(), testpeers.TestBinary(t))
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", fmt.Sprintf("%s=%d %s", memoryEnv, batches, filepath.Join(testutil.ShortDir(t), "sw")))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("%v", err)
	}
}

// beShortOfMemory is the child of TestMemoryLimit.
func beShortOfMemory(config string) error {
	var batches int
	var dir string
	if _, err := fmt.Sscan(config, &batches, &dir); err != nil {
		return err
	}
	debug.SetMemoryLimit(24 << 20)
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	l, err := sw.Listen(dir)
	if err != nil {
		return err
	}
	go l.Serve(context.Background())
	var conns []*vde.Conn
	for i := range 20 {
		var c *vde.Conn
		if i%2 == 0 {
			c, err = vde.Open(context.Background(), dir)
		} else {
			c, err = sw.Attach()
		}
		if err != nil {
			return err
		}
		defer c.Close()
		conns = append(conns, c)
	}
	if err := limitAddressSpace(); err != nil {
		return err
	}
	if err := floodBatches(conns[0], sw, batches); err != nil {
		return err
	}
	full := uint64(0)
	for _, p := range sw.Stats().Ports {
		if p.Out.Offered != p.Out.Frames+p.Out.Dropped.Sum()+p.Out.Queued {
			return fmt.Errorf("%+v", p)
		}
		full += p.Out.Dropped.Full
	}
	fmt.Printf("%d frames flooded to 19 ports that nobody reads, %d copies dropped\n", sw.Stats().Ports[0].In.Frames, full)
	return checkHeap()
}

// floodBatches sends batches from c, which is on the first port of sw, and waits
// until the switch has forwarded them.
func floodBatches(c *vde.Conn, sw *vswitch.Switch, batches int) error {
	batch := make([][]byte, 64)
	for i := range batch {
		batch[i] = testFrame(frame.Broadcast(), macA, 9000, byte(i))
	}
	for range batches {
		if n, err := c.WriteBatch(batch); err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
	}
	for end := time.Now().Add(long); sw.Stats().Ports[0].In.Frames < uint64(batches*len(batch)); {
		if time.Now().After(end) {
			return fmt.Errorf("not all frames came: %+v", sw.Stats().Ports[0].In)
		}
		runtime.Gosched()
	}
	return nil
}

// limitAddressSpace leaves this process little more address space than it has.
func limitAddressSpace() error {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(status), &pages); err != nil {
		return err
	}
	// The heap takes address space in aligned pieces of 64 MiB, and begins
	// somewhere in one.
	limit := pages*uint64(os.Getpagesize()) + 3*64<<20
	if raceEnabled {
		limit = unix.RLIM_INFINITY // the race detector has needs of its own; checkHeap checks what the heap takes
	}
	return unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit})
}

// checkHeap checks that the heap has taken no more than 64 MiB from the system.
func checkHeap() error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("%d MiB of heap from the system\n", m.HeapSys>>20)
	if m.HeapSys > 64<<20 {
		return fmt.Errorf("%d MiB of heap from the system", m.HeapSys>>20)
	}
	return nil
}
