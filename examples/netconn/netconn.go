// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package netconn is a driver as a third party would write one: it carries
// Ethernet frames over any [net.Conn], each behind its length in four bytes, most
// significant first. That is also what QEMU's stream sockets speak.
//
//	c, err := vde.Open(ctx, "tcp://192.0.2.1:4789", vde.WithDrivers(netconn.Drivers))
package netconn

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// Drivers open locators such as tcp://host:port and unix:///path.
var Drivers = link.Mux{"tcp": link.DriverFunc(open), "unix": link.DriverFunc(open)}

// dialTimeout bounds opening when ctx has no deadline.
const dialTimeout = 5 * time.Second

func open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	address, params, err := l.Bracketed()
	if err != nil {
		return nil, err
	}
	if len(params) > 0 {
		return nil, vnl.Errorf("%s knows no parameter %q", l.Scheme, params[0].Text())
	}
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, l.Scheme, address)
	if err != nil {
		return nil, err
	}
	return New(c, link.Config{Address: l.String(), MaxFrameSize: s.MaxFrameSize}), nil
}

// New returns a link over c, which it owns from then on.
func New(c net.Conn, cfg link.Config) link.Link {
	return link.New(&conn{Conn: c, r: bufio.NewReaderSize(c, 1<<16)}, cfg)
}

// A conn is a net.Conn as a link.FrameConn, which shares its Close.
type conn struct {
	net.Conn
	r *bufio.Reader
	w []byte // frames behind their lengths
}

const prefixLen = 4

// tooLong is a length that can only mean that the other side speaks something
// else.
const tooLong = 1 << 20

// ReadFrame implements [link.FrameConn].
func (c *conn) ReadFrame(buf []byte) (n int, err error) {
	var prefix [prefixLen]byte
	if _, err := io.ReadFull(c.r, prefix[:]); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint32(prefix[:])
	if size > tooLong {
		return 0, fmt.Errorf("netconn: a frame of %d bytes cannot be", size)
	}
	n = int(size)
	if _, err = io.ReadFull(c.r, buf[:min(n, len(buf))]); err == nil {
		_, err = c.r.Discard(max(n-len(buf), 0))
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // within a frame
	}
	return n, err
}

// WriteFrames implements [link.FrameConn].
func (c *conn) WriteFrames(frames [][]byte) (n int, err error) {
	c.w = c.w[:0]
	for _, f := range frames {
		c.w = append(binary.BigEndian.AppendUint32(c.w, uint32(len(f))), f...)
	}
	written, err := c.Write(c.w)
	for n < len(frames) && written >= prefixLen+len(frames[n]) {
		written -= prefixLen + len(frames[n])
		n++
	}
	return n, err
}
