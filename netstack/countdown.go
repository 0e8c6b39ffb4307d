// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import "time"

// countdownParts is into how many parts a countdown divides its time.
const countdownParts = 10

// A countdown ends after a time that the process had. While a process is stopped, or
// gets no processor, the clock goes on. A single timer would then fire as soon as the
// process runs again, before the goroutine that it limits could do anything. So a
// countdown consists of parts, one after the other, and each counts once, however late
// its timer fires.
type countdown struct {
	timer *time.Timer
	part  time.Duration
	left  int
}

func newCountdown(d time.Duration) countdown {
	part := d / countdownParts
	return countdown{time.NewTimer(part), part, countdownParts}
}

// passed is called after a receive from the timer. It reports whether the whole time
// has passed, and starts the next part, or the whole again.
func (c *countdown) passed() bool {
	c.timer.Reset(c.part)
	if c.left--; c.left > 0 {
		return false
	}
	c.left = countdownParts
	return true
}

// restart begins the whole time again; the timer has fired and was reset by passed.
func (c *countdown) restart() { c.left = countdownParts }

func (c *countdown) stop() { c.timer.Stop() }
