// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// BenchmarkWatched measures what it costs forwarding that ten clients watch the counters of
// a thousand ports, all of which change, and the events, at intervals of a second. Each
// iteration forwards for two seconds without clients and for two with them, in turn; the
// figures are medians. Give -benchtime 15x. The clients read and decode nothing: what they
// do with the bytes is done elsewhere.
func BenchmarkWatched(b *testing.B) {
	for _, c := range []struct {
		clients int
		json    bool
	}{{10, false}, {10, true}} {
		b.Run(fmt.Sprintf("ports=1000/clients=%d/json=%v", c.clients, c.json), func(b *testing.B) { benchmarkWatched(b, 1000, c.clients, c.json) })
	}
}

// benchSwitch returns connections to so many ports of a switch, of which the second reads,
// and the socket of its API.
func benchSwitch(b *testing.B, ports int) (conns []*vde.Conn, socket string) {
	sw := vswitch.New(vswitch.Config{
		DefaultPort: vswitch.PortConfig{Policy: vswitch.TailDrop, Queue: 64},
		Ports:       map[int]vswitch.PortConfig{1: {}, 2: {}},
	})
	b.Cleanup(func() { sw.Close() })
	for n := 1; n <= ports; n++ {
		c, err := sw.Attach(vde.WithPort(n))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	to := conns[1]
	if _, err := to.Write(flooded(2)); err != nil {
		b.Fatal(err)
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		bufs := make([][]byte, 64)
		for i := range bufs {
			bufs[i] = make([]byte, 2048)
		}
		windows := make([][]byte, len(bufs))
		for {
			copy(windows, bufs)
			if _, err := to.ReadBatch(windows); err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() { to.Close(); <-received })
	server := api.New(sw, api.Options{})
	b.Cleanup(func() { server.Close() })
	socket = filepath.Join(testutil.ShortDir(b), "api")
	listener, err := vswitch.ListenSocket(socket, 0, "")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(ctx, listener, api.Access{}) }()
	b.Cleanup(func() { cancel(); <-served })
	return conns, socket
}

func benchmarkWatched(b *testing.B, ports, clients int, json bool) {
	conns, socket := benchSwitch(b, ports)
	from := conns[0]
	batch := make([][]byte, 64)
	for i := range batch {
		batch[i] = append(unicast(2, 1), make([]byte, 1454)...)
	}
	// forward returns the frames per second.
	forward := func() float64 {
		start, n := time.Now(), 0
		for time.Since(start) < 2*time.Second {
			for range 1000 {
				if _, err := from.WriteBatch(batch); err != nil {
					b.Fatal(err)
				}
				n += len(batch)
			}
			if _, err := from.Write(flooded(1)); err != nil { // every port has something new
				b.Fatal(err)
			}
		}
		return float64(n) / time.Since(start).Seconds()
	}
	var alone, watched, lost []float64
	for b.Loop() {
		x := forward()
		stop := watchRaw(b, socket, clients, json)
		y := forward()
		stop()
		alone, watched, lost = append(alone, x), append(watched, y), append(lost, 100*(1-y/x))
	}
	b.ReportMetric(median(alone), "frames/s")
	b.ReportMetric(median(watched), "watched-frames/s")
	b.ReportMetric(median(lost), "%lost")
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// watchRaw watches counters and events with so many clients until stop is called.
func watchRaw(b *testing.B, socket string, clients int, json bool) (stop func()) {
	var conns []net.Conn
	ended := make(chan struct{}, 2*clients)
	codec, request := "proto", ""
	if json {
		codec, request = "json", "{}"
	}
	for i := range 2 * clients {
		name := []string{"WatchStats", "WatchEvents"}[i%2]
		c, err := net.Dial("unix", socket)
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "POST /vde.switch.v1.SwitchService/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+%s\r\nContent-Length: %d\r\n\r\n%s%s",
			name, codec, 5+len(request), binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request))), request)
		go func() {
			_, _ = io.Copy(io.Discard, c)
			ended <- struct{}{}
		}()
	}
	return func() {
		for _, c := range conns {
			c.Close()
		}
		for range conns {
			<-ended
		}
	}
}
