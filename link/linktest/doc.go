// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package linktest checks that links keep the promises of package link.
//
// The test of a driver gives [Test] a function that opens a connected pair:
//
//	func TestLink(t *testing.T) {
//		linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
//			return pipe.Open()
//		}, linktest.Options{})
//	}
//
// Each promise is a subtest of its own with pairs of its own and a watchdog: a
// call that never returns fails the subtest, with the stacks of all goroutines.
// Run it with -race, which is the only check of some promises.
//
// [Pipe] returns an in-memory pair for tests of programs that use links.
package linktest
