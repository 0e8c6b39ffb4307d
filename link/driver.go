// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/go-vde/sdk/internal/jsonconf"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens links of one kind.
type Driver interface {
	// Open opens the link that l names. ctx bounds opening only; without a
	// deadline in it the driver bounds itself. The error says which step failed
	// on what, and what would help.
	Open(ctx context.Context, l vnl.Locator, s Settings) (Link, error)
}

// A DriverFunc is a function as a [Driver].
type DriverFunc func(ctx context.Context, l vnl.Locator, s Settings) (Link, error)

// Open calls f.
func (f DriverFunc) Open(ctx context.Context, l vnl.Locator, s Settings) (Link, error) {
	return f(ctx, l, s)
}

// A Mux holds drivers by scheme. It is a value: a driver for links that consist of
// others is given the Mux to open them with. A Mux must not be changed while it is
// in use.
type Mux map[string]Driver

// Open opens l with the driver of its scheme. Without one the error matches
// [errors.ErrUnsupported].
func (m Mux) Open(ctx context.Context, l vnl.Locator, s Settings) (Link, error) {
	d := m[l.Scheme]
	if d == nil {
		return nil, m.unknown(l.Scheme)
	}
	return d.Open(ctx, l, s)
}

func (m Mux) unknown(scheme string) error {
	return fmt.Errorf("there is no driver for scheme %q, only for %s: %w", scheme, strings.Join(m.Schemes(), ", "), errors.ErrUnsupported)
}

// Schemes returns the schemes of m in alphabetical order.
func (m Mux) Schemes() []string { return slices.Sorted(maps.Keys(m)) }

// With returns a Mux with the drivers of m and of other. For a scheme that both
// have it is the driver of other.
func (m Mux) With(other Mux) Mux {
	all := maps.Clone(m)
	if all == nil {
		all = make(Mux)
	}
	maps.Copy(all, other)
	return all
}

// Settings say what a program wants of a link that it opens. A driver ignores what
// it has no use for. The zero Settings ask for the defaults.
type Settings struct {
	// Description is the label of the link in the port list of a switch.
	Description string

	// Port is the port of a switch: 0 is any free one, negative the management
	// port. A port in the locator wins.
	Port int

	// PortGroupFallback takes any free port of a switch that does not have the
	// port group asked for.
	PortGroupFallback bool

	// MaxFrameSize is the longest frame in bytes, Ethernet header included (0:
	// [frame.DefaultMaxSize]).
	MaxFrameSize int

	// WriteBuffer is the size in bytes of the queue in the kernel (0: the
	// system's default).
	WriteBuffer int

	// SocketMode and SocketGroup are the permission bits (0: 0700) and the group
	// of sockets that the driver makes in the file system. Those in the locator
	// win.
	SocketMode  fs.FileMode
	SocketGroup string

	// SharedMemory says with whom frames may go through shared memory.
	SharedMemory SharedMemory

	// NoPolling has receives from shared memory sleep at once where they would
	// look for an answer for a while first.
	NoPolling bool

	// Streams says when frames may go through a stream.
	Streams Streams

	// Offload asks for metadata beside the frames also where that has to be
	// agreed on when the link is opened.
	Offload bool
}

// MarshalJSON writes the permissions in octal, as in "0660".
func (s Settings) MarshalJSON() ([]byte, error) {
	type plain Settings
	return json.Marshal(struct {
		plain
		SocketMode jsonconf.Mode
	}{plain(s), jsonconf.Mode(s.SocketMode)})
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that b does not mention keep
// their value.
func (s *Settings) UnmarshalJSON(b []byte) error {
	type plain Settings
	v := struct {
		*plain
		SocketMode *jsonconf.Mode
	}{(*plain)(s), (*jsonconf.Mode)(&s.SocketMode)}
	return json.Unmarshal(b, &v)
}

// A SharedMemory says with whom frames may go through shared memory.
type SharedMemory int

const (
	// SharedMemorySameUser is the default: with processes of the user that this
	// process runs as.
	SharedMemorySameUser SharedMemory = iota

	// SharedMemoryAlways: with any process that may join. What another user's
	// process can do with it, and not with a socket, is in docs/shared-memory.md.
	SharedMemoryAlways

	// SharedMemoryNever: with no process.
	SharedMemoryNever
)

var sharedMemoryNames = [...]string{"same-user", "always", "never"}

// String returns "same-user", "always" or "never".
func (m SharedMemory) String() string {
	if !m.Valid() {
		return fmt.Sprintf("SharedMemory(%d)", int(m))
	}
	return sharedMemoryNames[m]
}

// Valid reports whether m is one of the constants.
func (m SharedMemory) Valid() bool { return m >= 0 && int(m) < len(sharedMemoryNames) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (m SharedMemory) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *SharedMemory) UnmarshalText(b []byte) error {
	i := slices.Index(sharedMemoryNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown mode of shared memory %q, want one of %s", b, strings.Join(sharedMemoryNames[:], ", "))
	}
	*m = SharedMemory(i)
	return nil
}

// A Streams says when frames that do not go through shared memory may go through a
// stream, many in one message, where the other side can do that too. Otherwise one
// message is one frame.
type Streams int

const (
	// StreamsAuto is the default: where shared memory was wanted and cannot be had,
	// so not with [SharedMemoryNever].
	StreamsAuto Streams = iota

	// StreamsAlways: also with [SharedMemoryNever].
	StreamsAlways

	// StreamsNever: not at all.
	StreamsNever
)

var streamsNames = [...]string{"auto", "always", "never"}

// String returns "auto", "always" or "never".
func (m Streams) String() string {
	if !m.Valid() {
		return fmt.Sprintf("Streams(%d)", int(m))
	}
	return streamsNames[m]
}

// Valid reports whether m is one of the constants.
func (m Streams) Valid() bool { return m >= 0 && int(m) < len(streamsNames) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (m Streams) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Streams) UnmarshalText(b []byte) error {
	i := slices.Index(streamsNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown mode of streams %q, want one of %s", b, strings.Join(streamsNames[:], ", "))
	}
	*m = Streams(i)
	return nil
}
