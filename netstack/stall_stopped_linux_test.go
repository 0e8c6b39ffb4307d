// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
)

// stoppedEnv makes this program the process that TestStallWhileStopped stops.
const stoppedEnv = "NETSTACK_TEST_STOPPED"

// TestStallWhileStopped stops a process in which a packet waits for room, and lets it
// go on after the time in which a link counts as stalled. The process had no part of
// that time.
func TestStallWhileStopped(t *testing.T) {
	if os.Getenv(stoppedEnv) != "" {
		waitWhileStopped(t)
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(bound(t), os.Args[0], "-test.run=^TestStallWhileStopped$")
	cmd.Env = append(os.Environ(), stoppedEnv+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the process has not stopped: %v, %#x\n%s", err, status, out.Bytes())
	}
	time.Sleep(3 * netstack.StallAfter)
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.Bytes())
	}
}

// waitWhileStopped stops this process while a packet waits for room. When the process
// goes on, the peer begins to read.
func waitWhileStopped(t *testing.T) {
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{Queue: 16})
	e.Attach(newRecorder())
	const packets = 4000 // more than the queues hold
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range packets {
			if err := send(e, numberedPacket(0, i)); err != nil {
				t.Errorf("packet %d: %v", i, err)
			}
		}
	})
	for netstack.Waiting(e) == 0 {
		runtime.Gosched()
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Timers that are late fire before the peer reads.
	time.Sleep(netstack.StallAfter / 20)
	go func() {
		buf := make([]byte, 2000)
		for {
			if _, err := b.Read(buf); err != nil {
				return
			}
		}
	}()
	sending.Wait()
	if s := e.Stats(); s.TxDroppedStalled != 0 {
		t.Errorf("%+v", s)
	}
}
