// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package offload does for a frame what its [frame.VNetHeader] says was left
// undone: it completes the checksum, and cuts a long TCP segment into frames.
//
// Frames come from others. [Check] is the one place that looks at them with
// suspicion; everything else is given only what passed it.
package gso
