// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package peer

import "time"

var base = time.Now()

// Now returns nanoseconds of a clock of this process.
func Now() int64 { return int64(time.Since(base)) }

// pace calls send(i) when due(i) has come, for n numbers, and then finish.
func pace(due func(uint64) time.Time, n int, send func(uint64) error, finish func() error) error {
	for i := range uint64(n) {
		time.Sleep(time.Until(due(i)))
		if err := send(i); err != nil {
			return err
		}
	}
	return finish()
}
