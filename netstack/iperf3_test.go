// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/netstack"
)

// An iperfMode describes a measurement, like the flags of iperf3 -c.
type iperfMode struct {
	Bytes   int64 // of all streams together
	Reverse bool  // the server sends
	Streams int   // default 1
	UDP     bool
	Rate    float64 // of UDP, in bit/s
}

// An iperfResult is the result of a measurement.
type iperfResult struct {
	Sent, Received  int64
	Packets, Lost   int64 // UDP
	Gbits           float64
	TCPRetransmits  uint64
	FramesPerCall   float64
	EndpointDropped uint64
	EndpointTxWaits uint64
}

// The states of iperf3's control connection, one byte each.
const (
	iperfTestStart       = 1
	iperfTestRunning     = 2
	iperfTestEnd         = 4
	iperfParamExchange   = 9
	iperfCreateStreams   = 10
	iperfExchangeResults = 13
	iperfDisplayResults  = 14
	iperfDone            = 16
)

type iperfStream struct {
	ID          int     `json:"id"`
	Bytes       int64   `json:"bytes"`
	Retransmits int     `json:"retransmits"`
	Jitter      float64 `json:"jitter"`
	Errors      int64   `json:"errors"`
	Packets     int64   `json:"packets"`
	StartTime   float64 `json:"start_time"`
	EndTime     float64 `json:"end_time"`
}

type iperfReport struct {
	CPUTotal    float64       `json:"cpu_util_total"`
	CPUUser     float64       `json:"cpu_util_user"`
	CPUSystem   float64       `json:"cpu_util_system"`
	Retransmits int           `json:"sender_has_retransmits"`
	Streams     []iperfStream `json:"streams"`
}

// An iperfClient is a client of an iperf3 server during one measurement.
type iperfClient struct {
	h      *netstack.Host
	server netip.AddrPort
	mode   iperfMode
	ctl    net.Conn
	cookie []byte
	block  int // bytes of each write
	conns  []net.Conn

	start                   time.Time
	running                 sync.WaitGroup
	errs                    []error // of each stream
	sent, received, packets atomic.Int64
}

// iperf runs a measurement against an iperf3 server, over h.
func iperf(ctx context.Context, h *netstack.Host, server netip.AddrPort, mode iperfMode) (iperfResult, error) {
	c := &iperfClient{h: h, server: server, mode: mode, block: 128 << 10}
	if mode.UDP {
		c.block = 1448
	}
	defer c.close()
	if err := c.negotiate(ctx); err != nil {
		return iperfResult{}, err
	}
	before := h.Stats()
	if err := c.transfer(ctx); err != nil {
		return iperfResult{}, err
	}
	elapsed := time.Since(c.start)
	theirs, err := c.exchangeResults(elapsed)
	if err != nil {
		return iperfResult{}, err
	}
	return c.result(theirs, elapsed, before, h.Stats()), nil
}

func (c *iperfClient) close() {
	if c.ctl != nil {
		c.ctl.Close()
	}
	for _, conn := range c.conns {
		conn.Close()
	}
	c.running.Wait()
}

// expect reads a byte of the control connection, which has to be the given state.
func (c *iperfClient) expect(state byte) error {
	var b [1]byte
	if _, err := io.ReadFull(c.ctl, b[:]); err != nil {
		return fmt.Errorf("waiting for state %d: %w", state, err)
	}
	if b[0] != state {
		return fmt.Errorf("server in state %d, not %d", int8(b[0]), state)
	}
	return nil
}

// sendJSON sends v with its length in front.
func (c *iperfClient) sendJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.ctl.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// negotiate connects to the server, sends the parameters and opens the streams.
func (c *iperfClient) negotiate(ctx context.Context) (err error) {
	c.ctl, err = c.h.DialContext(ctx, "tcp", c.server.String())
	for errors.Is(err, errRefused) && ctx.Err() == nil { // it is still starting
		c.ctl, err = c.h.DialContext(ctx, "tcp", c.server.String())
	}
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	c.ctl.SetDeadline(deadline)
	c.cookie = append([]byte(rand.Text() + rand.Text())[:36], 0)
	if _, err := c.ctl.Write(c.cookie); err != nil {
		return err
	}
	if err := c.expect(iperfParamExchange); err != nil {
		return err
	}
	if err := c.sendJSON(c.parameters()); err != nil {
		return err
	}
	if err := c.expect(iperfCreateStreams); err != nil {
		return err
	}
	for range max(c.mode.Streams, 1) {
		conn, err := c.openStream(ctx)
		if err != nil {
			return err
		}
		conn.SetDeadline(deadline)
		c.conns = append(c.conns, conn)
	}
	if err := c.expect(iperfTestStart); err != nil {
		return err
	}
	return c.expect(iperfTestRunning)
}

func (c *iperfClient) parameters() map[string]any {
	p := map[string]any{
		"omit": 0, "time": 0, "num": c.mode.Bytes, "blockcount": 0, "parallel": max(c.mode.Streams, 1),
		"pacing_timer": 1000, "client_version": "3.16", "len": c.block,
	}
	if c.mode.UDP {
		p["udp"], p["bandwidth"] = true, c.mode.Rate
	} else {
		p["tcp"] = true
	}
	if c.mode.Reverse {
		p["reverse"] = true
	}
	return p
}

func (c *iperfClient) openStream(ctx context.Context) (net.Conn, error) {
	if !c.mode.UDP {
		conn, err := c.h.DialContext(ctx, "tcp", c.server.String())
		if err != nil {
			return nil, err
		}
		_, err = conn.Write(c.cookie)
		return conn, err
	}
	conn, err := c.h.DialContext(ctx, "udp", c.server.String())
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if _, err = conn.Write([]byte("9876")); err == nil {
		_, err = conn.Read(make([]byte, 64))
	}
	return conn, err
}

// transfer moves the data and reports the end to the server.
func (c *iperfClient) transfer(ctx context.Context) error {
	c.start = time.Now()
	c.errs = make([]error, len(c.conns))
	enough := make(chan struct{})
	for i, conn := range c.conns {
		c.running.Go(func() {
			if c.mode.Reverse {
				c.receiveStream(conn, enough)
			} else {
				c.errs[i] = c.sendStream(conn)
			}
		})
	}
	if c.mode.Reverse {
		select {
		case <-enough:
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		c.running.Wait()
		if err := errors.Join(c.errs...); err != nil {
			return err
		}
		// The server stops counting when it is told that all has been sent. That
		// message would overtake the data in the buffers of the host, which is
		// all of it in a short transfer.
		if !c.mode.UDP {
			for _, conn := range c.conns {
				conn.Close()
			}
			if err := c.h.Shutdown(ctx); err != nil {
				return err
			}
		}
	}
	_, err := c.ctl.Write([]byte{iperfTestEnd})
	return err
}

// receiveStream reads until the server closes conn. It closes enough when all
// streams together have received everything.
func (c *iperfClient) receiveStream(conn net.Conn, enough chan struct{}) {
	buf := make([]byte, c.block)
	for {
		n, err := conn.Read(buf)
		if all := c.received.Add(int64(n)); n > 0 && all >= c.mode.Bytes && all-int64(n) < c.mode.Bytes {
			close(enough)
		}
		if err != nil {
			return
		}
	}
}

// sendStream sends this stream's share, datagrams at the rate of the mode.
func (c *iperfClient) sendStream(conn net.Conn) error {
	buf := make([]byte, c.block)
	share := c.mode.Bytes / int64(len(c.conns))
	for done := int64(0); done < share; done += int64(c.block) {
		if c.mode.UDP {
			seq, now := c.packets.Add(1), time.Now()
			binary.BigEndian.PutUint32(buf, uint32(now.Unix()))
			binary.BigEndian.PutUint32(buf[4:], uint32(now.Nanosecond()/1000))
			binary.BigEndian.PutUint32(buf[8:], uint32(seq))
			time.Sleep(time.Until(c.start.Add(time.Duration(float64(done*8) / c.mode.Rate * 1e9))))
		}
		if _, err := conn.Write(buf); err != nil {
			return err
		}
		c.sent.Add(int64(c.block))
	}
	return nil
}

// An iperfServerReport is the part of the server's results that is used.
type iperfServerReport struct {
	Streams []struct{ Bytes, Errors int64 }
}

// exchangeResults sends the results of the client, receives those of the server and
// ends the measurement.
func (c *iperfClient) exchangeResults(elapsed time.Duration) (theirs iperfServerReport, err error) {
	if err := c.expect(iperfExchangeResults); err != nil {
		return theirs, err
	}
	var report iperfReport
	for i := range c.conns {
		id := i + 1
		if i > 0 {
			id++ // iperf3 numbers its streams 1, 3, 4, 5...
		}
		report.Streams = append(report.Streams, iperfStream{
			ID: id, Bytes: (c.sent.Load() + c.received.Load()) / int64(len(c.conns)),
			Packets: c.packets.Load(), Retransmits: -1, EndTime: elapsed.Seconds(),
		})
	}
	if err := c.sendJSON(report); err != nil {
		return theirs, err
	}
	var length [4]byte
	if _, err := io.ReadFull(c.ctl, length[:]); err != nil {
		return theirs, err
	}
	b := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(c.ctl, b); err != nil {
		return theirs, err
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&theirs); err != nil {
		return theirs, fmt.Errorf("%w in %s", err, b)
	}
	if err := c.expect(iperfDisplayResults); err != nil {
		return theirs, err
	}
	_, err = c.ctl.Write([]byte{iperfDone})
	return theirs, err
}

func (c *iperfClient) result(theirs iperfServerReport, elapsed time.Duration, before, after netstack.HostStats) (res iperfResult) {
	res.Sent, res.Received, res.Packets = c.sent.Load(), c.received.Load(), c.packets.Load()
	for _, s := range theirs.Streams {
		if c.mode.Reverse {
			res.Sent += s.Bytes
		} else {
			res.Received += s.Bytes
		}
		res.Lost += s.Errors
	}
	res.Gbits = float64(res.Received) * 8 / elapsed.Seconds() / 1e9
	res.TCPRetransmits = after.TCPRetransmits - before.TCPRetransmits
	if calls := after.Endpoint.Conn.TxCalls - before.Endpoint.Conn.TxCalls; calls > 0 {
		res.FramesPerCall = float64(after.Endpoint.Conn.TxFrames-before.Endpoint.Conn.TxFrames) / float64(calls)
	}
	res.EndpointDropped = after.Endpoint.TxDropped() - before.Endpoint.TxDropped()
	res.EndpointTxWaits = after.Endpoint.TxWaits - before.Endpoint.TxWaits
	return res
}
