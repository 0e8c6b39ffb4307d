// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

// ControlInt returns a control message with a number.
var ControlInt = controlInt
