// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build race

package seqpacket_test

const raceEnabled = true
