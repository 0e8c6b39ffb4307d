// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-vde/sdk/internal/shm"
)

// A SharedMemory says with whom frames may go through shared memory.
type SharedMemory int

const (
	// SharedMemorySameUser is the default: with switches and clients of the user
	// that this process runs as.
	SharedMemorySameUser SharedMemory = iota

	// SharedMemoryAlways: with anybody who may join. Another user's process can
	// then, with effort, make this one wait; see docs/shared-memory.md.
	SharedMemoryAlways

	// SharedMemoryNever: with nobody.
	SharedMemoryNever
)

var sharedMemoryNames = [...]string{"same-user", "always", "never"}

// String returns "same-user", "always" or "never".
func (m SharedMemory) String() string {
	if !m.valid() {
		return fmt.Sprintf("SharedMemory(%d)", int(m))
	}
	return sharedMemoryNames[m]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (m SharedMemory) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *SharedMemory) UnmarshalText(b []byte) error {
	i := slices.Index(sharedMemoryNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("vde: unknown mode of shared memory %q, want one of %s", b, strings.Join(sharedMemoryNames[:], ", "))
	}
	*m = SharedMemory(i)
	return nil
}

func (m SharedMemory) valid() bool { return m >= 0 && int(m) < len(sharedMemoryNames) }

// ErrSharedMemory is the cause when the other side wrote into the shared memory
// what cannot be. The connection is then of no more use.
var ErrSharedMemory = shm.ErrBroken

// WithSharedMemory says whether to offer the switch a ring in shared memory for
// each direction (default [SharedMemorySameUser]). A switch of this SDK takes the
// offer if its own configuration allows it; every other one ignores it and moves
// frames through sockets. Nothing else is different about the connection, but
// that [Conn.SyscallConn] has no socket to show and [WithWriteBuffer] no effect.
//
// A receive that waits for another answer, as the last one brought one, polls for up
// to 200 microseconds before it sleeps, more rarely where that is in vain, and offers
// its processor to other processes meanwhile. It never takes the last processor that
// Go has (GOMAXPROCS).
//
// The memory, a little over 1 MiB, holds nothing but frames on their way, and
// the other side is not trusted with more: what it does to the memory can end
// the connection, with [ErrSharedMemory], and nothing else. See
// docs/shared-memory.md.
func WithSharedMemory(mode SharedMemory) Option {
	return option(func(c *config) { c.sharedMemory = mode })
}

// SharedMemory reports whether frames go through shared memory, and not through
// a socket. With [WithReconnect] that can change with the switch.
func (c *Conn) SharedMemory() bool {
	l, ok := c.link.(interface{ sharedMemory() bool })
	return ok && l.sharedMemory()
}
