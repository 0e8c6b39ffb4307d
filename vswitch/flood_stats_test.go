// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// TestStatsWithinFlood checks that Stats, for which everybody waits who forwards, does not
// wait for a batch that is flooded to many ports, and that its counters agree there.
func TestStatsWithinFlood(t *testing.T) {
	const ports, size, most = 1000, 64, 1000
	sw := vswitch.New(vswitch.Config{NumPorts: ports, DefaultPort: vswitch.PortConfig{Queue: 1}})
	defer sw.Close()
	from := attachMany(t, sw, ports)[0]
	done := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		batch := make([][]byte, size)
		for i := range batch {
			batch[i] = testFrame(frame.Broadcast(), macA, 60, byte(i))
		}
		for range most {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := from.WriteBatch(batch); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	within := false
	for ended := false; !within && !ended; {
		s := sw.Stats()
		checkAccounts(t, s)
		within = s.Ports[0].In.Copies%(size*(ports-1)) != 0
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		default:
		}
	}
	close(stop)
	if !within {
		t.Errorf("each of %d calls of Stats or fewer waited for the end of a batch", most)
	}
}
