// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// randomPacket returns a frame among few stations, offloaded or not, and sometimes
// not what it claims to be.
func randomPacket(r *rand.Rand) packet {
	if r.IntN(3) == 0 {
		return packet{data: randomFrame(r)}
	}
	dst := frame.MAC{2, 0, 0, 0, 0, byte(r.IntN(8))}
	if r.IntN(20) == 0 {
		dst = frame.Broadcast()
	}
	h := segment(dst, frame.MAC{2, 0, 0, 0, 0, byte(r.IntN(8))}, r.IntN(2) == 0, r.Uint32(), make([]byte, r.IntN([]int{100, 10000, 65000}[r.IntN(3)])), 500+r.IntN(1400))
	if r.IntN(4) == 0 {
		h = withTag(h, uint16(r.IntN(4)))
	}
	if r.IntN(50) == 0 {
		h.header.HdrLen++
		h.header.CsumOffset++
	}
	return h
}

// checkPacket reports whether h is what whoever gets it may expect.
func checkPacket(t *testing.T, h packet) {
	at := ipAt(h.data) - 2
	if len(h.data) <= at+40 || h.data[at] == 0x88 {
		return
	}
	if _, _, err := payloadOf(h); err != nil {
		t.Error(err)
	}
}

// Offloaded frames are accounted for whatever the policies, while ports come and
// go that have not agreed to them, and whoever gets one gets it right.
func TestOffloadAccounting(t *testing.T) {
	for _, policy := range []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop} {
		t.Run(policy.String(), func(t *testing.T) { testOffloadAccounting(t, policy) })
	}
}

func testOffloadAccounting(t *testing.T, policy vswitch.Policy) {
	const (
		senders = 5 // 1 to 3 have agreed
		guest   = 6
		rounds  = 60
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 2000, DefaultPort: vswitch.PortConfig{
		Policy: policy, Queue: 64, Wait: 100 * time.Microsecond, Tagged: []uint16{1, 2},
	}, Ports: map[int]vswitch.PortConfig{3: {VLAN: 1, Policy: policy, Queue: 16, StormLimit: 1000, Wait: time.Millisecond}}})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	var conns []*vde.Conn
	var agreed []*packetPort
	for n := 1; n <= senders; n++ {
		c := attach(t, sw, n)
		conns = append(conns, c)
		if n <= 3 {
			agreed = append(agreed, packetsOn(t, sw, c))
		}
	}
	var readers, writers, guests sync.WaitGroup
	got := make([]uint64, senders)
	for i, c := range conns {
		readers.Go(func() {
			b := make([]byte, 1<<16)
			for {
				var err error
				n, h := 0, packet{}
				if i < len(agreed) {
					h, err = recvPacket(agreed[i].l)
				} else if n, err = c.Read(b); err == nil {
					h.data = b[:n]
				}
				if err != nil {
					return
				}
				checkPacket(t, h)
				got[i]++
			}
		})
	}
	sent := make([]uint64, senders)
	for i, c := range conns {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range rounds {
				var batch []packet
				for range 1 + r.IntN(100) {
					batch = append(batch, randomPacket(r))
				}
				n, err := 0, error(nil)
				if i < len(agreed) {
					// A Conn refuses what is not what it claims to be; a client with
					// shared memory may send it.
					batch = slices.DeleteFunc(batch, func(h packet) bool {
						bad := gso.Check(h.header, h.data) != nil
						if bad {
							inject(sw, i+1, h)
							sent[i]++
						}
						return bad
					})
					n, err = agreed[i].trySend(r.IntN(3) > 0, batch...)
				} else {
					var all [][]byte
					for _, h := range batch {
						if h.header == (frame.VNetHeader{}) {
							all = append(all, h.data)
						} else if h.header.CsumOffset == 16 {
							all = append(all, ordinary(h)[0])
						}
					}
					n, err = c.WriteBatch(all)
				}
				if err != nil && !errors.Is(err, link.ErrFull) && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				sent[i] += uint64(n)
			}
		})
	}
	done := make(chan struct{})
	guests.Go(func() {
		// Somebody comes and goes, reads a little, and is a mirror now and then.
		r := rand.New(rand.NewPCG(seed, guest))
		for {
			select {
			case <-done:
				return
			default:
			}
			c, err := sw.Attach(vde.WithPort(guest))
			if err != nil {
				t.Error(err)
				return
			}
			src := 1 + r.IntN(senders)
			if r.IntN(2) == 0 {
				err = sw.Mirror(src, guest)
			}
			b := make([]byte, 1<<16)
			for range r.IntN(50) {
				if e := c.SetReadDeadline(time.Now().Add(time.Millisecond)); e != nil {
					t.Error(e)
				}
				if n, e := c.Read(b); e == nil {
					checkPacket(t, packet{data: b[:n]})
				}
			}
			checkAccounts(t, sw.Stats())
			if err = errors.Join(err, sw.Unmirror(src, guest), c.Close()); err != nil {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	close(done)
	guests.Wait()
	until(t, "queues read", func() bool {
		for _, p := range sw.Stats().Ports {
			if p.Out.Queued != 0 {
				return false
			}
		}
		return true
	})
	for _, c := range conns {
		c.Close()
	}
	readers.Wait()
	s := sw.Stats()
	checkAccounts(t, s)
	var in vswitch.InStats
	for i := range senders {
		p := s.Ports[i]
		in.GSOFrames += p.In.GSOFrames
		in.Segments += p.In.Segments
		in.Dropped.Offload += p.In.Dropped.Offload
		if n := p.In.Frames - p.In.Segments + p.In.GSOFrames; n != sent[i] {
			t.Errorf("port %d sent %d frames, the switch counts %d: %+v", p.Port, sent[i], n, p.In)
		}
		// A Conn skips what it does not take for a frame, and what is longer than it
		// asked for.
		st := conns[i].Stats()
		if n := got[i] + st.RxRunts + st.RxTruncated + st.RxDiscarded; n != p.Out.Frames {
			t.Errorf("port %d got %d frames, the switch counts %+v", p.Port, n, p.Out)
		}
	}
	t.Logf("%d frames cut into %d, %d not what they claimed", in.GSOFrames, in.Segments, in.Dropped.Offload)
	if in.GSOFrames == 0 || in.Dropped.Offload == 0 {
		t.Errorf("%+v", in)
	}
}
