// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"os"
)

// runChild does not return if this process was started to be a switch.
func runChild() {
	config, ok := os.LookupEnv(childEnv)
	if !ok {
		return
	}
	if err := beSwitch(config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
