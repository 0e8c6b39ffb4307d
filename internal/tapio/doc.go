// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package tapio moves frames through the descriptor of a tap or macvtap device of
// Linux that sits on the Go runtime poller.
//
// It knows the device and nothing of locators: [Attach] makes the settings of a
// descriptor, as far as the kernel has them, and [New] makes a link of it. Each frame
// is one system call. Behind a virtio-net header it may be a GSO frame or lack its
// checksum, in both directions, which is what makes a device fast.
//
// The package is empty on systems other than Linux, but for [CheckName].
package tapio
