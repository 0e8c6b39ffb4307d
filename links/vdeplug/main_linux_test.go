// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/links/vdeplug"
)

// TestMain has no switch taken for one that refuses in silence because the machine is
// slow; tests of such refusals set another delay.
func TestMain(m *testing.M) {
	vdeplug.SetProbeDelay(conntest.Patience)
	goleak.VerifyTestMain(m)
}
