// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package webtest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// pictureTime is how long stations send before a picture is taken, and pictureStep how
// long before they send more or less.
const (
	pictureTime = 100 * time.Second
	pictureStep = 15 * time.Second
)

// TestPictures makes the pictures of the page that the documentation shows, of a lab in
// which stations talk to each other, some more than others, and one sends into a VLAN that
// it is not in.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("makes pictures for the documentation; give -pictures DIR")
	}
	names := []string{"web", "database", "mail", "build 1", "build 2", "build 3", "router", "printer", "laptop", "phone"}
	sw := vswitch.New(vswitch.Config{Name: "lab", Ports: map[int]vswitch.PortConfig{4: {VLAN: 10}, 5: {VLAN: 10}, 6: {VLAN: 10, Tagged: []uint16{20, 30}}}})
	var running sync.WaitGroup
	defer running.Wait()
	defer sw.Close()
	conns := make([]*vde.Conn, len(names))
	for i, name := range names {
		c, err := sw.Attach(vde.WithPort(i+1), vde.WithDescription(name))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
		running.Go(func() {
			for b := make([]byte, 2000); ; {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		})
	}
	near, far := linktest.Pipe(64)
	defer far.Close()
	if _, err := sw.AttachLink(near, vswitch.LinkConfig{Port: 11, Description: "vxlan://192.0.2.7", Uplink: true}); err != nil {
		t.Fatal(err)
	}
	b := open(t, serve(t, sw, api.Access{}), 1400, 1100)
	b.untilText("#state", "live")
	for i := range conns { // all are known
		sendFrame(t, conns, i, (i+1)%len(conns), 0)
	}
	begin, stop := time.Now(), make(chan struct{})
	running.Go(func() { talk(t, conns, stop) })
	defer close(stop)
	running.Go(func() {
		buf := [][]byte{make([]byte, 2000)}
		for {
			if _, err := far.Recv(link.Rx{Bufs: buf, Sizes: make([]int, 1)}); err != nil {
				return
			}
		}
	})
	b.until(fmt.Sprintf("Date.now() >= %d", begin.Add(pictureTime).UnixMilli()))
	b.picture("page")
}

// talk has the stations send to each other, more in each second and third pictureStep,
// until stop is closed.
func talk(t *testing.T, conns []*vde.Conn, stop <-chan struct{}) {
	begin, tick := time.Now(), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		phase := int(time.Since(begin)/pictureStep) % 3
		for range 30 + 20*phase + rand.IntN(20) {
			if from, to := min(rand.IntN(10), rand.IntN(10)), min(rand.IntN(10), rand.IntN(10)); from != to {
				sendFrame(t, conns, from, to, 200+rand.IntN(1200))
			}
		}
		if phase == 2 && rand.IntN(4) == 0 {
			f := make([]byte, 100)
			frame.PutHeader(f, station(1), station(9), 0x8100)
			f[15] = 77
			if _, err := conns[8].Write(f); err != nil {
				t.Error(err)
			}
		}
	}
}

// sendFrame sends a frame between stations by their indices.
func sendFrame(t *testing.T, conns []*vde.Conn, from, to, size int) {
	f := make([]byte, max(size, 60))
	frame.PutHeader(f, station(to+1), station(from+1), 0x88b5)
	if _, err := conns[from].Write(f); err != nil {
		t.Error(fmt.Errorf("station %d: %w", from, err))
	}
}
