// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/udpio"
)

// A member is one that has joined a group.
type member struct {
	address
	head  [8]byte     // precedes each frame
	all   *udpio.Peer // the group; guarded by table while the follower runs
	table *udpio.Table

	multicast, unicast int // the sockets; everything is sent from unicast
	probe              int // a socket to ask the system for self with

	follower *udpio.Follower // nil if the system does not allow it
	joined   int             // the interface of the membership, or 0; the follower's

	bound   bool       // to an address, so that self does not change
	self    udpio.Addr // where the datagrams of this member come from
	before  [16]byte   // the IP address of self before it changed
	other   [16]byte   // that of another host which has a socket with the same port
	asked   time.Time  // when the system said that other is not self
	foreign atomic.Uint64
}

var _ udpio.Router = (*member)(nil)

// Lock implements [udpio.Router].
func (m *member) Lock() {
	m.table.Lock()
	m.table.Tick()
}

// Unlock implements [udpio.Router].
func (m *member) Unlock() { m.table.Unlock() }

// Header implements [udpio.Router].
func (m *member) Header() []byte { return m.head[:] }

// Route implements [udpio.Router].
func (m *member) Route(head []byte) (socket int, to *udpio.Peer) {
	if dst, ok := frame.MACFrom(head[:min(len(head), 6)]); ok && !dst.IsGroup() {
		if to = m.table.Lookup(dst); to != nil {
			return 0, to
		}
	}
	return 0, m.all
}

// The index of the socket of the group in the list of those to receive from.
const fromGroup = 0

// accept returns the frame in a datagram of another member, and learns where its
// sender is. All bytes of the header must be as this member sends them.
func (m *member) accept(d udpio.Datagram) ([]byte, bool) {
	if len(d.Data) < len(m.head) || !bytes.Equal(d.Data[:len(m.head)], m.head[:]) {
		m.foreign.Add(1)
		return nil, false
	}
	f := d.Data[len(m.head):]
	switch {
	case d.Socket == fromGroup && d.From.Port == m.self.Port && m.isSelf(d.From):
		return nil, false // multicast datagrams come back to the host, for others on it
	case len(f) == 0: // a goodbye
		m.table.Forget(d.From)
		return nil, false
	case len(f) >= frame.HeaderLen:
		m.table.Learn(frame.Frame(f).Src(), d.From)
	}
	return f, true
}

// otherPause is for how long an address counts as that of another host.
const otherPause = time.Second

// isSelf reports whether a, which has the port of this member, is its address. That
// may change while the link is open, so the system is asked.
func (m *member) isSelf(a udpio.Addr) bool {
	switch {
	case a.IP == m.self.IP || a.IP == m.before:
		return true
	case m.bound || a.IP == m.other && time.Since(m.asked) < otherPause:
		return false
	}
	m.probeSelf()
	if a.IP == m.self.IP {
		return true
	}
	m.other, m.asked = a.IP, time.Now()
	return false
}

// probeSelf asks the system for the address that datagrams to the group come from. It
// fails while there is no way to the group; then nothing comes back either.
func (m *member) probeSelf() {
	if source, err := udpio.SourceAddr(m.probe, m.group); err == nil && source.IP != m.self.IP {
		m.before, m.self.IP = m.self.IP, source.IP
	}
}

// farewell tells the others that this member leaves. A datagram may be lost: then
// entries age.
func (m *member) farewell() {
	m.follower.Close()
	m.all.SendTo(m.unicast, m.head[:])
}

// follow has m go on by another interface.
func (m *member) follow(index int) error {
	udpio.Leave(m.multicast, m.group, m.joined)
	group := m.group
	if group.Scope != 0 {
		group.Scope = uint32(index)
	}
	m.Lock()
	defer m.Unlock()
	var err error
	if group.NeedsScope() {
		err = udpio.Rebind(m.multicast, group, index)
	}
	if m.bound && m.self.NeedsScope() {
		err = errors.Join(err, udpio.Rebind(m.unicast, m.self, index))
	}
	if err == nil {
		err = udpio.Join(m.multicast, group, index)
	}
	if err == nil {
		m.joined = index
	}
	if err == nil && m.ifindex != 0 {
		udpio.Disconnect(m.probe)
		err = errors.Join(udpio.SendBy(m.unicast, group, index, false), udpio.SendBy(m.probe, group, index, false))
	}
	if err != nil {
		return err
	}
	m.group, m.all = group, udpio.NewPeer(group)
	m.table.Flush()
	return nil
}

// A source is what a member receives from.
type source struct {
	udpio.PrivateSource
	probe int
}

func (m *member) newSource() *source {
	sockets := []int{fromGroup: m.multicast, m.unicast}
	return &source{udpio.PrivateSource{Locker: m, Receiver: udpio.NewReceiver(sockets...), Sockets: sockets, Accept: m.accept}, m.probe}
}

// Close implements [udpio.Source].
func (s *source) Close() (unread int) {
	unread = s.PrivateSource.Close()
	unix.Close(s.probe)
	return unread
}
