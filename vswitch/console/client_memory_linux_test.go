// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestClientLongEvents checks that a switch whose events are long cannot fill the memory of
// a client, which keeps the last ones and says how many it has lost.
func TestClientLongEvents(t *testing.T) {
	const events, length = 64, 1 << 19
	answers := []string{banner, ""}
	long := "3021 port/+ " + strings.Repeat("x", length) + "\n"
	answers[1] = strings.Repeat(long, events) + "3021 port/+ 07\n1000 Success\n\nvde$ "
	c := script(t, answers...)
	before := heap()
	if _, err := c.Command(t.Context(), "x"); err != nil { // the events have come
		t.Fatal(err)
	}
	// The console's own copy goes when the goroutine that wrote it goes on.
	for end := time.Now().Add(hang); ; runtime.Gosched() {
		grown := heap() - before
		if grown <= 8<<20 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("events of %d MiB keep %d MiB", events*length>>20, grown>>20)
		}
	}
	runtime.KeepAlive(answers) // or its end would hide what c keeps
	lost, kept := 0, 0
	for {
		e, err := c.NextEvent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Path == "debug/lost" {
			n, err := strconv.Atoi(e.Text)
			if err != nil {
				t.Fatal(err)
			}
			lost += n
			continue
		}
		kept++
		if e.Text == "07" {
			break
		}
	}
	if lost+kept != events+1 || kept < 2 {
		t.Errorf("%d events lost and %d kept, of %d", lost, kept, events+1)
	}
}
