// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package node

// leftovers are the files that a switch has left behind which was killed.
type leftovers struct{}

func findLeftovers(string, bool) (leftovers, error) { return leftovers{}, nil }

func (*leftovers) removeSockets() {}

func (*leftovers) removeDir() error { return nil }
