// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package gso finishes frames whose [frame.VNetHeader] says that they are
// partial: it completes checksums, and segments GSO frames.
//
// [Accept] is the one place that looks at an untrusted header and its frame together.
// It is called where they enter the program; every other function of the package
// takes only what has passed it. What one frame can make of itself is bounded there:
// at most [frame.MaxGSOSegments] frames.
package gso
