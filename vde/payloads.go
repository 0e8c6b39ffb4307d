// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/frame"
)

// A PayloadConn carries the payloads of frames of one EtherType, without their
// headers, like a packet socket of type SOCK_DGRAM (packet(7)). Libraries that are
// made for such a socket work on it, for example clients of DHCP, with EtherType IPv4.
// Those that read and write whole frames, for example for ARP, work on a [Conn].
//
// Methods may be called at the same time.
type PayloadConn struct {
	conn    *Conn
	mac     frame.MAC
	kind    frame.EtherType
	skipped atomic.Uint64

	rx struct {
		mu  sync.Mutex
		buf []byte // guarded by mu
	}
	tx struct {
		mu     sync.Mutex // guards what follows
		header [frame.HeaderLen]byte
		pieces [2][]byte
		one    [1]net.Buffers
	}
}

var _ net.PacketConn = (*PayloadConn)(nil)

// NewPayloadConn returns a PayloadConn for frames of type t between others and the
// host that has the address mac, which c becomes: it takes over c and all reads
// from it. If it fails, c is still the caller's.
func NewPayloadConn(c *Conn, t frame.EtherType, mac frame.MAC) (*PayloadConn, error) {
	switch {
	case t.IsTag():
		return nil, fmt.Errorf("vde: EtherType %v is that of a VLAN tag: give the type of a payload", t)
	case mac.IsGroup() || mac == frame.MAC{}:
		return nil, fmt.Errorf("vde: %v is no address of one host: give one without the group bit", mac)
	}
	p := &PayloadConn{conn: c, mac: mac, kind: t}
	p.rx.buf = make([]byte, c.maxFrame)
	return p, nil
}

// ReadFrom receives the payload of one frame into b, padding included, and returns its
// length and the frame's source as an [Addr]. io.ErrShortBuffer means that b held only
// the beginning; the rest is lost. It skips frames of other types or VLANs, and those
// that are for other hosts: see [PayloadConn.Skipped]. A priority tag is removed.
func (p *PayloadConn) ReadFrom(b []byte) (n int, src net.Addr, err error) {
	p.rx.mu.Lock()
	defer p.rx.mu.Unlock()
	for {
		n, err := p.conn.Read(p.rx.buf)
		if err != nil {
			return 0, nil, err
		}
		f := frame.Frame(p.rx.buf[:n]) // Read has parsed it
		if !p.wants(f) {
			p.skipped.Add(1)
			continue
		}
		payload := f.Payload()
		if n = copy(b, payload); n < len(payload) {
			err = p.conn.opError("read", io.ErrShortBuffer)
		}
		return n, Addr{f.Src()}, err
	}
}

// wants reports whether f is of the type, without a VLAN, and for this host.
func (p *PayloadConn) wants(f frame.Frame) bool {
	for _, tag := range f.Tags() {
		if tag.ID() != 0 {
			return false
		}
	}
	dst := f.Dst()
	return f.EtherType() == p.kind && (dst == p.mac || dst.IsGroup())
}

// Skipped returns the number of frames that were received and are not for this
// connection.
func (p *PayloadConn) Skipped() uint64 { return p.skipped.Load() }

// WriteTo sends b as the payload of a frame to dst: an [Addr], or any other address
// whose text is that of a MAC address. It waits like [Conn.Write]. b is lent for the
// call and not modified.
func (p *PayloadConn) WriteTo(b []byte, dst net.Addr) (n int, err error) {
	to, err := macOf(dst)
	if err != nil {
		return 0, p.conn.opErrorTo("write", dst, err)
	}
	t := &p.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	frame.PutHeader(t.header[:], to, p.mac, p.kind)
	t.pieces = [2][]byte{t.header[:], b}
	t.one[0] = t.pieces[:]
	sent, err := p.conn.WriteBuffers(t.one[:])
	t.pieces[1] = nil
	if sent == 1 {
		n = len(b)
	}
	return n, err
}

// macOf returns the MAC address that a is the text of.
func macOf(a net.Addr) (frame.MAC, error) {
	switch a := a.(type) {
	case Addr:
		return a.MAC, nil
	case nil:
		return frame.MAC{}, fmt.Errorf("%w: there is none", errAddress)
	}
	mac, err := frame.ParseMAC(a.String())
	if err != nil {
		return mac, fmt.Errorf("%w: %q", errAddress, a)
	}
	return mac, nil
}

// LocalAddr returns the address of the host as an [Addr].
func (p *PayloadConn) LocalAddr() net.Addr { return Addr{p.mac} }

// SetDeadline is [Conn.SetDeadline].
func (p *PayloadConn) SetDeadline(t time.Time) error { return p.conn.SetDeadline(t) }

// SetReadDeadline is [Conn.SetReadDeadline].
func (p *PayloadConn) SetReadDeadline(t time.Time) error { return p.conn.SetReadDeadline(t) }

// SetWriteDeadline is [Conn.SetWriteDeadline].
func (p *PayloadConn) SetWriteDeadline(t time.Time) error { return p.conn.SetWriteDeadline(t) }

// Close closes the Conn.
func (p *PayloadConn) Close() error { return p.conn.Close() }
