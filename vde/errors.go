// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"net"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/vdeplug"
)

// Errors of a connection.
var (
	// ErrHangup is the cause when the switch or peer closed the connection.
	ErrHangup = link.ErrHangup

	// ErrSharedMemory is the cause when the other side broke the protocol of
	// the shared memory. The connection has then ended.
	ErrSharedMemory = link.ErrViolation

	// ErrLinkDown is returned by writes that may not wait while a connection
	// opened with [WithReconnect] has no link.
	ErrLinkDown = link.ErrDown

	// ErrBusy is returned by read methods while Frames owns reading.
	ErrBusy = errors.New("reads are being delivered by Frames")

	// ErrFull is returned by TryWriteBatch and TryWritePackets when the peer's
	// queue is full.
	ErrFull = link.ErrFull

	// ErrFrameSize is returned for a frame shorter than an Ethernet header or
	// longer than the connection's maximum.
	ErrFrameSize = errors.New("frame size out of range")

	// ErrOffload is returned for a frame that is not what its virtio-net header
	// says. See [Conn.WritePackets].
	ErrOffload = errors.New("frame and virtio-net header do not agree")
)

// Errors of Open. Each is found with [errors.Is]; those about permissions also
// match [fs.ErrPermission], ErrNoSwitch also matches [fs.ErrNotExist] where a
// file is missing, and an unknown or unsupported scheme matches
// [errors.ErrUnsupported]. When ctx or the default bound ends the attempt, the
// error matches [context.Canceled] or [context.DeadlineExceeded].
var (
	// ErrNoSwitch: there is no control socket, or no process listens on it.
	ErrNoSwitch = vdeplug.ErrNoSwitch

	// ErrNotSwitch: the answer is not of the VDE protocol.
	ErrNotSwitch = vdeplug.ErrNotSwitch

	// ErrControlDenied: the control socket or its directory may not be used.
	ErrControlDenied = vdeplug.ErrControlDenied

	// ErrDataDenied: no data socket may be made where the switch could reach
	// it, or the switch's own may not be used.
	ErrDataDenied = vdeplug.ErrDataDenied

	// ErrConnectBackDenied: the switch is not allowed to write to the data
	// socket of this process.
	ErrConnectBackDenied = vdeplug.ErrConnectBackDenied

	// ErrPortRefused: the switch does not give the port asked for.
	ErrPortRefused = vdeplug.ErrPortRefused

	// ErrSwitchFull: the switch has no free port.
	ErrSwitchFull = vdeplug.ErrSwitchFull

	// ErrNoPortGroup: the switch has no port group of that name.
	ErrNoPortGroup = vdeplug.ErrNoPortGroup

	// ErrPathTooLong: the path does not fit a socket address (107 bytes).
	ErrPathTooLong = vdeplug.ErrPathTooLong
)

// errAddress is in the error of a dst that is no MAC address.
var errAddress = errors.New("want an Addr, or another address whose text is a MAC address")

// errDestination is in the error of WriteTo for a dst that is not the frame's.
var errDestination = errors.New("destination differs; give nil or the frame's own as an Addr")

// opError returns err as a *net.OpError, or nil if err is nil.
func (c *Conn) opError(op string, err error) error { return c.opErrorTo(op, nil, err) }

func (c *Conn) opErrorTo(op string, to net.Addr, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: network, Source: c.addr, Addr: to, Err: err}
}
