// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
)

// Caps says what a link can do at the moment it is asked. Interfaces and
// functions in it are nil where the link has nothing of the kind, and stay the
// same for the life of the link. Only Raw of a link made by [Redial] is that of the
// link in use.
type Caps struct {
	// Address is what the link is connected to, as a locator; empty if it has
	// no such name.
	Address string

	// Name returns how leak mode of package pool names the link beside the
	// connection on it, such as "port 3 of a switch".
	Name func() string

	// Offload is which unfinished frames the other side takes as they are. The
	// sender finishes others before Send.
	Offload Offload

	// SharedMemory is whether frames go through memory shared with another
	// process.
	SharedMemory bool

	// Raw is the descriptor on which one message is one frame.
	Raw syscall.RawConn

	// Buffers hands over frames in the buffers in which they have come.
	Buffers BufferReceiver

	// Pools returns the pools that the buffers of Buffers come from.
	Pools func() []*pool.Pool

	// Notifier says when to receive, in place of a Recv that waits.
	Notifier Notifier

	// State tells of a link that goes down and comes up again.
	State Stateful

	// Counters returns the frames that the link itself has lost.
	Counters func() Counters
}

// An Offload is a set of kinds of unfinished frames.
type Offload uint8

const (
	OffloadChecksum Offload = 1 << iota // a partial TCP or UDP checksum
	OffloadTSO                          // TCP segments of up to [frame.MaxGSO] bytes, IPv4 and IPv6
	OffloadUSO                          // UDP datagrams together of up to as many bytes, IPv4 and IPv6
)

// Takes reports whether a frame with header h may be sent as it is.
func (o Offload) Takes(h frame.VNetHeader) bool {
	var need Offload
	if h.Flags&frame.VNetNeedsChecksum != 0 {
		need = OffloadChecksum
	}
	switch h.GSOType {
	case frame.GSONone:
	case frame.GSOUDP:
		need |= OffloadUSO
	default:
		need |= OffloadTSO
	}
	return o&need == need
}

// offloadNames are the names of the kinds, from the lowest bit on.
var offloadNames = [...]string{"checksum", "tso", "uso"}

// String returns the names of the kinds in o, such as "checksum+tso", or "none".
func (o Offload) String() string {
	var names []string
	for i, name := range offloadNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := o &^ (1<<len(offloadNames) - 1); rest != 0 {
		names = append(names, fmt.Sprintf("Offload(%#x)", uint8(rest)))
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, "+")
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (o Offload) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes the names in any
// order.
func (o *Offload) UnmarshalText(b []byte) error {
	var all Offload
	if string(b) != "none" {
		for name := range strings.SplitSeq(string(b), "+") {
			i := slices.Index(offloadNames[:], name)
			if i < 0 {
				return fmt.Errorf("unknown kind of offload %q, want some of %s, or none", name, strings.Join(offloadNames[:], "+"))
			}
			all |= 1 << i
		}
	}
	*o = all
	return nil
}

// Counters counts frames that a link has lost, by cause.
type Counters struct {
	Foreign   uint64 // received from others than the peer, or not of the network that the link is on
	Discarded uint64 // unread when the link went down or was closed, and not in the result of Close
	Missed    uint64 // dropped by the other side because this one did not receive, as far as it is known here
	Unsent    uint64 // accepted by Send and not passed on when the link ended or was closed, or refused by the network
}

// add adds the counters of l.
func (c *Counters) add(l Link) {
	if f := l.Caps().Counters; f != nil {
		more := f()
		c.Foreign += more.Foreign
		c.Discarded += more.Discarded
		c.Missed += more.Missed
		c.Unsent += more.Unsent
	}
}

// A BufferReceiver is a link that holds received frames in pooled buffers.
type BufferReceiver interface {
	// RecvBuffers is Recv that transfers one reference to a buffer for each
	// frame: the first n elements of bs, whose references are released before,
	// become buffers whose windows are the frames. Others may hold the same
	// buffer, so its bytes must not be changed. headers is as in [Rx].
	RecvBuffers(bs []*pool.Buffer, headers []frame.VNetHeader) (n int, err error)
}

// A Notifier calls its user when there is something to receive. One goroutine may
// do so for several links of the process, and the length of a frame is known
// before it is copied.
type Notifier interface {
	// Serve calls r, one call at a time, until the end of the link. It takes the
	// place of Recv calls. It may return earlier, when another goroutine has
	// taken over its work.
	Serve(r Receiver)

	// RecvPlaced is Recv that does not wait, takes at most limit frames and
	// copies each to where p says. p may have been asked about one frame more than
	// the n that were received, even if err is not nil.
	RecvPlaced(p Placer, limit int) (n int, err error)
}

// A Receiver is what a [Notifier] calls.
type Receiver interface {
	// Ready says that there may be frames to receive. It reports whether there
	// was one. It must call release before it does anything that can wait.
	Ready(release func()) bool

	// Ended says, once, that Ready is not called any more, and why.
	Ended(err error)
}

// A Placer says where a received frame of size bytes, the i-th of a batch, is to
// be copied to, and is told its metadata, which the receiver has to check. What
// does not fit there is cut off.
type Placer interface {
	Place(i, size int, h frame.VNetHeader) []byte
}

// A Stateful is a link that goes down and comes up again.
type Stateful interface {
	// State returns the state of the link at this moment.
	State() State

	// OnChange has f called at each change, one call after the other; the link
	// does not go on before f has returned. f must not close the link or call
	// stop. stop ends the calls; none is under way when it returns.
	OnChange(f func(State)) (stop func())
}

// A State describes a link that goes down and comes up again.
type State struct {
	Up      bool          // frames can be sent and received
	Attempt int           // to dial, counted from 1: the one that failed or succeeded; 0 if none was made since the link went down
	Err     error         // why the link is down: the reason of the end, or what the attempt failed with; nil if Up
	Outage  time.Duration // since the link went down; if Up, how long that lasted
}
