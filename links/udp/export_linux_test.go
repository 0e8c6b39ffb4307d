// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp

// SetHookBound has f called when a socket is bound and not yet connected.
func SetHookBound(f func()) { testHookBound = f }
