// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package exec_test

// raceEnabled says that the race detector, which allocates, is off.
const raceEnabled = false
