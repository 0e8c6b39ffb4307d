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

// An iperfMode is a measurement as iperf3 -c would do it.
type iperfMode struct {
	Bytes   int64 // in all
	Reverse bool  // the server sends
	Streams int   // default 1
	UDP     bool
	Rate    float64 // of UDP, in bit/s
}

// An iperfResult is what came out.
type iperfResult struct {
	Sent, Received   int64
	Packets, Lost    int64 // UDP
	Gbits            float64
	TCPRetransmits   uint64
	FramesPerCall    float64
	EndpointDropped  uint64
	EndpointTxWaited uint64
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

// iperf is a client for an iperf3 server, over h.
func iperf(ctx context.Context, h *netstack.Host, server netip.AddrPort, mode iperfMode) (res iperfResult, err error) {
	streams := max(mode.Streams, 1)
	ctl, err := h.DialContext(ctx, "tcp", server.String())
	for errors.Is(err, errRefused) && ctx.Err() == nil { // it is still starting
		ctl, err = h.DialContext(ctx, "tcp", server.String())
	}
	if err != nil {
		return res, err
	}
	defer ctl.Close()
	defer context.AfterFunc(ctx, func() { ctl.SetDeadline(past) })()
	cookie := append([]byte(rand.Text() + rand.Text())[:36], 0)
	if _, err := ctl.Write(cookie); err != nil {
		return res, err
	}
	state := func(want byte) error {
		var b [1]byte
		if _, err := io.ReadFull(ctl, b[:]); err != nil {
			return fmt.Errorf("waiting for state %d: %w", want, err)
		}
		if b[0] != want {
			return fmt.Errorf("server in state %d, not %d", int8(b[0]), want)
		}
		return nil
	}
	send := func(v any) error {
		b, _ := json.Marshal(v)
		_, err := ctl.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
		return err
	}
	if err := state(iperfParamExchange); err != nil {
		return res, err
	}
	block := 128 << 10
	params := map[string]any{"omit": 0, "time": 0, "num": mode.Bytes, "blockcount": 0, "parallel": streams, "pacing_timer": 1000, "client_version": "3.16"}
	params["tcp"] = true
	if mode.UDP {
		delete(params, "tcp")
		params["udp"] = true
		params["bandwidth"] = mode.Rate
		block = 1448
	}
	params["len"] = block
	if mode.Reverse {
		params["reverse"] = true
	}
	if err := send(params); err != nil {
		return res, err
	}
	if err := state(iperfCreateStreams); err != nil {
		return res, err
	}
	conns := make([]net.Conn, streams)
	for i := range conns {
		network := "tcp"
		if mode.UDP {
			network = "udp"
		}
		c, err := h.DialContext(ctx, network, server.String())
		if err != nil {
			return res, err
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.SetDeadline(past) })()
		hello := cookie
		if mode.UDP {
			hello = []byte("9876")
		}
		if _, err := c.Write(hello); err != nil {
			return res, err
		}
		if mode.UDP {
			if _, err := c.Read(make([]byte, 64)); err != nil {
				return res, err
			}
		}
		conns[i] = c
	}
	for _, s := range []byte{iperfTestStart, iperfTestRunning} {
		if err := state(s); err != nil {
			return res, err
		}
	}
	before := h.Stats()
	start := time.Now()
	var sent, received, packets atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, streams)
	enough := make(chan struct{})
	var once sync.Once
	for i, c := range conns {
		wg.Go(func() {
			buf := make([]byte, block)
			if mode.Reverse {
				for {
					n, err := c.Read(buf)
					if received.Add(int64(n)) >= mode.Bytes {
						once.Do(func() { close(enough) })
					}
					if err != nil {
						return // the server closes at the end
					}
				}
			}
			share := mode.Bytes / int64(streams)
			for done := int64(0); done < share; done += int64(block) {
				if mode.UDP {
					seq := packets.Add(1)
					now := time.Now()
					binary.BigEndian.PutUint32(buf, uint32(now.Unix()))
					binary.BigEndian.PutUint32(buf[4:], uint32(now.Nanosecond()/1000))
					binary.BigEndian.PutUint32(buf[8:], uint32(seq))
					// The pace that was asked for.
					due := start.Add(time.Duration(float64(done*8) / mode.Rate * 1e9))
					time.Sleep(time.Until(due))
				}
				if _, err := c.Write(buf); err != nil {
					errs[i] = err
					return
				}
				sent.Add(int64(block))
			}
		})
	}
	if mode.Reverse {
		select {
		case <-enough:
		case <-ctx.Done():
			return res, ctx.Err()
		}
	} else {
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return res, err
		}
		// The server stops counting when it is told that all has been sent,
		// and that message would overtake what is still in our buffers: all
		// of it, if the transfer is short.
		if !mode.UDP {
			for _, c := range conns {
				c.Close()
			}
			if err := h.Shutdown(ctx); err != nil {
				return res, err
			}
		}
	}
	if _, err := ctl.Write([]byte{iperfTestEnd}); err != nil {
		return res, err
	}
	if err := state(iperfExchangeResults); err != nil {
		return res, err
	}
	elapsed := time.Since(start)
	var report iperfReport
	for i := range conns {
		id := i + 1
		if i > 0 {
			id++ // iperf3 numbers its streams 1, 3, 4, 5...
		}
		report.Streams = append(report.Streams, iperfStream{ID: id, Bytes: (sent.Load() + received.Load()) / int64(streams),
			Packets: packets.Load(), Retransmits: -1, EndTime: elapsed.Seconds()})
	}
	if err := send(report); err != nil {
		return res, err
	}
	var length [4]byte
	if _, err := io.ReadFull(ctl, length[:]); err != nil {
		return res, err
	}
	b := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(ctl, b); err != nil {
		return res, err
	}
	var theirs struct {
		Streams []struct{ Bytes, Errors int64 }
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&theirs); err != nil {
		return res, fmt.Errorf("%w in %s", err, b)
	}
	if err := state(iperfDisplayResults); err != nil {
		return res, err
	}
	if _, err := ctl.Write([]byte{iperfDone}); err != nil {
		return res, err
	}
	for _, c := range conns {
		c.Close()
	}
	wg.Wait()
	for _, s := range theirs.Streams {
		if mode.Reverse {
			res.Sent += s.Bytes
		} else {
			res.Received += s.Bytes
		}
		res.Lost += s.Errors
	}
	if mode.Reverse {
		res.Received = received.Load()
	} else {
		res.Sent = sent.Load()
	}
	after := h.Stats()
	res.Packets = packets.Load()
	res.Gbits = float64(res.Received) * 8 / elapsed.Seconds() / 1e9
	res.TCPRetransmits = after.TCPRetransmits - before.TCPRetransmits
	if calls := after.Endpoint.Conn.TxCalls - before.Endpoint.Conn.TxCalls; calls > 0 {
		res.FramesPerCall = float64(after.Endpoint.Conn.TxFrames-before.Endpoint.Conn.TxFrames) / float64(calls)
	}
	res.EndpointDropped = after.Endpoint.TxDropped() - before.Endpoint.TxDropped()
	res.EndpointTxWaited = after.Endpoint.TxWaits - before.Endpoint.TxWaits
	return res, nil
}
