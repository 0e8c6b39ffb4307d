// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPipe holds the in-memory pair to the promises.
func TestPipe(t *testing.T) {
	for name, depth := range map[string]int{"deep": 64, "shallow": 8} {
		t.Run(name, func(t *testing.T) {
			linktest.Test(t, func(testing.TB) (a, b link.Link, err error) {
				a, b = linktest.Pipe(depth)
				return a, b, nil
			}, linktest.Options{})
		})
	}
}
