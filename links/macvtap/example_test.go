// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package macvtap_test

import (
	"context"
	"log"

	"github.com/go-vde/sdk/vde"
)

// A program is a host of its own on the network of the interface below guest0.
func Example() {
	conn, err := vde.Open(context.Background(), "macvtap://guest0")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
}
