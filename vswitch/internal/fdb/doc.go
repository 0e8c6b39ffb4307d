// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package fdb is the forwarding database of a switch: it knows which port leads
// to which MAC address in which VLAN. Entries are learned from the frames that
// come in, and age, or are static. A port may have a limit of entries.
//
// The package knows no frames and no batches. Its user holds the lock for reading
// while it looks up the addresses of a batch.
package fdb
