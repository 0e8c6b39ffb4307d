// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"os"
)

// runChild does not return if this process was started for a part in a test.
func runChild() {
	var err error
	if config, ok := os.LookupEnv(childEnv); ok {
		err = beSwitch(config)
	} else if dir, ok := os.LookupEnv(memoryEnv); ok {
		err = beShortOfMemory(dir)
	} else {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
