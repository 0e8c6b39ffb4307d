// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"os"
)

// runChild does not return if this process was started to be a switch, a client
// of one, or short of memory.
func runChild() {
	for env, be := range map[string]func(string) error{childEnv: beSwitch, clientEnv: beClient, streamEnv: beStreamClient, askEnv: beAsker, answerEnv: beAnswerer, memoryEnv: beShortOfMemory} {
		config, ok := os.LookupEnv(env)
		if !ok {
			continue
		}
		if err := be(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}
