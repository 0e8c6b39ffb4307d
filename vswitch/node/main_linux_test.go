// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/node"
)

// nodeEnv tells this test binary to open the locator that is its value, to say that it
// serves, and to end with its standard input.
const nodeEnv = "GO_VDE_NODE"

func TestMain(m *testing.M) {
	if locator, ok := os.LookupEnv(nodeEnv); ok {
		if err := beNode(locator); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testutil.Main(m)
}

func beNode(locator string) error {
	c, err := vde.Open(context.Background(), locator, vde.WithDrivers(node.Drivers()))
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println(testpeers.ReadyLine)
	_, _ = os.Stdin.Read(make([]byte, 1))
	return nil
}
