// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

// Sum is the sum of b as it is on the wire, for comparison with a slow one.
func Sum(b []byte) uint16 { return fold(sum(0, b)) }
