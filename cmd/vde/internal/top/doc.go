// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package top is the page of vde top without the terminal: a [Model] of a running switch
// that its counters and descriptions are given to, and a [Page] that keys are given to and
// that is drawn as text of a given size. It reads no clock, no terminal and no network.
package top
