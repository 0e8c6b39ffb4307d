// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestStreamRequestWithoutEnd checks that a client which never ends the request of a stream
// does not keep one of the streams for nothing.
func TestStreamRequestWithoutEnd(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{Timeout: 200 * time.Millisecond, MaxStreams: 2}, api.Access{})
	for _, call := range []string{"WatchEvents", "WatchStats"} {
		for _, sent := range []string{"", "{", "{}"} {
			c, err := net.Dial("unix", l.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			prefix := string(binary.BigEndian.AppendUint32([]byte{0}, 2))
			fmt.Fprintf(c, "POST /vde.switch.v1.SwitchService/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: 100\r\n\r\n%s%s", call, prefix, sent)
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s with %q: no answer and no end", call, sent)
			}
			t.Logf("%s with %q: %q, %v", call, sent, line, err)
			c.Close()
		}
	}
	for { // the streams are free again
		stream := must(l.client.WatchEvents(t.Context(), &pb.WatchEventsRequest{}))(t)
		_, err := stream.Receive()
		stream.Close()
		if err == nil {
			break
		}
		wantError(t, "a stream", err, connect.CodeResourceExhausted)
	}
}

// TestConcurrentChanges has several clients change one port at once, each what it has read:
// no change is lost.
func TestConcurrentChanges(t *testing.T) {
	const clients, changes = 4, 10
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	var running sync.WaitGroup
	var aborted atomic.Int64
	for i := range clients {
		running.Go(func() {
			for n := range uint32(changes) {
				own := &pb.VLANRange{First: 100 + uint32(i)*changes + n, Last: 100 + uint32(i)*changes + n}
				for {
					got, err := l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: proto.Uint32(3)})
					if err != nil {
						t.Error(err)
						return
					}
					p := got.GetPort()
					p.Config.Tagged = append(p.Config.Tagged, own)
					_, err = l.client.SetPort(t.Context(), &pb.SetPortRequest{Port: proto.Uint32(3), Config: p.GetConfig(), Etag: p.GetEtag()})
					if err == nil {
						break
					}
					aborted.Add(1)
					if connect.CodeOf(err) != connect.CodeAborted {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	running.Wait()
	pc, err := l.sw.Port(3)
	if err != nil || len(pc.Tagged) != clients*changes {
		t.Errorf("%d VLANs, %v, want %d", len(pc.Tagged), err, clients*changes)
	}
	t.Logf("%d changes came too late", aborted.Load())
}

// TestSessionsLeaveNothing opens and closes a thousand connections, each with a call and a
// stream that is cut off, and looks for what is left of them.
func TestSessionsLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("in the long run")
	}
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	a := l.attach(vde.WithPort(1))
	session := func(i int) {
		c := must(api.Dial(t.Context(), l.socket))(t)
		defer c.Close()
		must(c.GetPort(t.Context(), &pb.GetPortRequest{Port: proto.Uint32(1)}))(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var err error
		switch i % 3 {
		case 0:
			stream := must(c.WatchEvents(ctx, &pb.WatchEventsRequest{}))(t)
			defer stream.Close()
			_, err = stream.Receive()
		case 1:
			stream := must(c.WatchStats(ctx, &pb.WatchStatsRequest{}))(t)
			defer stream.Close()
			_, err = stream.Receive()
		case 2:
			stream := must(c.Capture(ctx, &pb.CaptureRequest{Port: proto.Uint32(1)}))(t)
			defer stream.Close()
			_, err = stream.Receive()
		}
		if err != nil && connect.CodeOf(err) != connect.CodeResourceExhausted { // those before may not be over yet
			t.Error(err)
		}
		if _, err := a.Write(flooded(1)); err != nil {
			t.Error(err)
		}
	}
	for i := range 50 {
		session(i)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range 1000 {
		session(i)
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines+20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, there were %d", runtime.NumGoroutine(), goroutines)
		}
	}
	grown := heap() - before
	t.Logf("1,000 sessions: the heap has grown by %d KiB, goroutines %d before and %d after", grown>>10, goroutines, runtime.NumGoroutine())
	if grown > 4<<20 {
		t.Errorf("1,000 sessions have left %d KiB", grown>>10)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools kept for one cycle
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
