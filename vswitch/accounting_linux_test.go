// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A loadedPort is one port of the accounting test: a client, or one after the
// other, that sends at random and reads in its way.
type loadedPort struct {
	t       *testing.T
	sw      *vswitch.Switch
	dir     string // empty for an in-process port
	number  int
	rand    *rand.Rand    // of the goroutine that sends
	written chan struct{} // gets a token, if there is room, for each batch that anybody writes

	conns []*vde.Conn // all there have been, the last one open
	sent  uint64      // frames that the write methods said they sent
}

// loadedMAC is the address of the station behind a port.
func loadedMAC(port int) frame.MAC { return frame.MAC{2, 0, 0, 0, 1, byte(port)} }

// join opens the next client.
func (p *loadedPort) join() (*vde.Conn, error) {
	var c *vde.Conn
	var err error
	if p.dir == "" {
		c, err = p.sw.Attach(vde.WithPort(p.number))
	} else {
		carrier := vde.SharedMemorySameUser
		if (p.number+len(p.conns))%2 == 0 { // half of them, and those that come again in turns
			carrier = vde.SharedMemoryNever
		}
		c, err = vde.Open(context.Background(), p.dir, vde.WithPort(p.number), vde.WithSharedMemory(carrier))
	}
	if err == nil {
		p.conns = append(p.conns, c)
	}
	return c, err
}

// batch returns some frames: most for one station or another, some for nobody or
// everybody, some in a VLAN, a few too long for the switch.
func (p *loadedPort) batch() [][]byte {
	r := p.rand
	batch := make([][]byte, 1+r.IntN(80))
	for i := range batch {
		dst := loadedMAC(1 + r.IntN(10)) // port 10 is nobody's
		if r.IntN(10) == 0 {
			dst = frame.Broadcast()
		}
		size := 60
		switch r.IntN(20) {
		case 0:
			size = 14 + r.IntN(1700)
		case 1, 2, 3, 4:
			size = 14 + r.IntN(400)
		}
		f := testFrame(dst, loadedMAC(p.number), size, byte(i))
		if r.IntN(8) == 0 {
			f = tagged(f, uint16(r.IntN(3)))
		}
		batch[i] = f
	}
	return batch
}

// write sends one batch, or part of it, and reports whether the connection is
// still good.
func (p *loadedPort) write(c *vde.Conn) bool {
	send := c.WriteBatch
	if p.rand.IntN(3) == 0 {
		send = c.TryWriteBatch
	}
	n, err := send(p.batch())
	p.sent += uint64(n)
	select {
	case p.written <- struct{}{}:
	default:
	}
	return err == nil || errors.Is(err, vde.ErrFull)
}

// Ways to read. They end with the connection.

func readFrames(c *vde.Conn) {
	for f := range c.Frames() {
		f.Release()
	}
}

func readBatches(c *vde.Conn) {
	slab := make([]byte, 16*2048)
	bufs := make([][]byte, 16)
	for {
		for i := range bufs {
			bufs[i] = slab[i*2048:][:2048]
		}
		if _, err := c.ReadBatch(bufs); err != nil {
			return
		}
	}
}

// readSome reads n frames and then no more.
func readSome(n int) func(*vde.Conn) {
	return func(c *vde.Conn) {
		b := make([]byte, 2048)
		for range n {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	}
}

// readSlowly reads one frame for each batch that is written.
func readSlowly(written <-chan struct{}) func(*vde.Conn) {
	return func(c *vde.Conn) {
		b := make([]byte, 2048)
		for range written {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	}
}

// Every frame is accounted for where sockets are involved too: what the kernel
// took from a client is what came to the switch from its port, and what the
// switch says it delivered is what the clients of the port got. Clients are
// slow, stop reading, leave while they are sending and are thrown out.
//
// There is one exception, which is the kernel's: when A sends to B and B's socket
// has been closed, it throws away what B had sent to A and A has not read yet, and
// does not say how much. So the switch may lose frames of a client that leaves,
// and a client that is thrown out and goes on sending those that it has not read.
// See also TestSendsNothingToWhoLeaves.
func TestSocketAccounting(t *testing.T) {
	for _, policy := range []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop} {
		t.Run(policy.String(), func(t *testing.T) { testSocketAccounting(t, policy) })
	}
}

func testSocketAccounting(t *testing.T, policy vswitch.Policy) {
	const (
		batches = 100 // that each port sends
		lives   = 10  // that those have who leave or are thrown out
		leaver  = 6
		outcast = 7
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	sw, dir := start(t, vswitch.Config{
		MaxFrameSize: 1600,
		WriteBuffer:  16 << 10,
		DefaultPort:  vswitch.PortConfig{Policy: policy, Queue: 32, Wait: 200 * time.Microsecond, Tagged: []uint16{1}},
		Ports:        map[int]vswitch.PortConfig{3: {Policy: policy, Wait: 200 * time.Microsecond, StormLimit: 5000}},
	})
	if err := errors.Join(sw.Mirror(1, 5), sw.Mirror(2, 8)); err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{}, 1)
	var ports []*loadedPort
	var writers, readers, watcher sync.WaitGroup
	for i, read := range []func(*vde.Conn){
		readFrames, readBatches, readSlowly(written), readSome(100), nil, nil, nil, // ports 1 to 7 joined by the directory,
		readBatches, nil, // 8 and 9 in-process
	} {
		p := &loadedPort{t: t, sw: sw, dir: dir, number: i + 1, rand: rand.New(rand.NewPCG(seed, uint64(i))), written: written}
		ports = append(ports, p)
		switch p.number {
		case leaver, outcast:
			// A client that leaves, or is thrown out, while it sends.
			writers.Go(func() {
				for range lives {
					c, err := p.join()
					if err != nil {
						t.Error(err)
						return
					}
					readers.Go(func() { readBatches(c) })
					var leaving sync.WaitGroup
					end := p.rand.IntN(batches / lives)
					for k := 0; p.write(c) && k < batches/lives; k++ {
						if k == end {
							leaving.Go(func() {
								if p.number == leaver {
									c.Close()
								} else if err := sw.Disconnect(outcast, 0); err != nil {
									t.Error(err)
								}
							})
						}
					}
					leaving.Wait()
					c.Close()
				}
			})
			continue
		case 8, 9:
			p.dir = ""
		}
		c, err := p.join()
		if err != nil {
			t.Fatal(err)
		}
		if read != nil {
			readers.Go(func() { read(c) })
		}
		writers.Go(func() {
			for range batches {
				if !p.write(c) {
					t.Errorf("port %d cannot write", p.number)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	watcher.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				checkAccounts(t, sw.Stats())
			}
		}
	})
	writers.Wait()
	close(done)
	watcher.Wait()

	// Rest: everything that was sent has come, and who still reads has read.
	until(t, "everything sent has come", func() bool {
		s := sw.Stats()
		for i, p := range ports {
			if p.number != leaver && s.Ports[i].In.Frames != p.tx() {
				return false
			}
		}
		return true
	})
	close(written)
	for _, p := range ports {
		for _, c := range p.conns {
			c.Close()
		}
	}
	readers.Wait()
	until(t, "all detached", func() bool { return len(active(sw)) == 0 })

	var s vswitch.Stats
	until(t, "nothing on its way", func() bool {
		s = sw.Stats()
		for _, p := range s.Ports {
			if p.Out.Queued > 0 {
				return false
			}
		}
		return true
	})
	checkAccounts(t, s)
	var sum vswitch.OutDropped
	for i, p := range ports {
		in, out := s.Ports[i].In, s.Ports[i].Out
		if tx := p.tx(); tx != p.sent || in.Frames > tx || in.Frames < tx && p.number != leaver {
			t.Errorf("port %d: %d frames sent, the connections count %d, the switch %+v", p.number, p.sent, tx, in)
		}
		var got, unread, refused uint64
		for _, c := range p.conns {
			st := c.Stats()
			refused += st.TxRefused
			got += st.RxFrames + st.RxRunts + st.RxTruncated + st.RxEmpty
			unread += st.RxDiscarded
		}
		if p.dir != "" {
			got += unread // had left the switch
		} else if out.Dropped.Closed < unread {
			t.Errorf("port %d: %d frames left unread, %+v", p.number, unread, out)
		}
		if out.Frames < got || out.Frames > got && (p.number != outcast || refused == 0) {
			t.Errorf("port %d: %d frames got, the switch counts %+v", p.number, got, out)
		}
		if out.Offered != out.Frames+out.Dropped.Sum() {
			t.Errorf("port %d: %+v", p.number, out)
		}
		if (p.number == 5 || p.number == 9) && out.Dropped.Sum() == 0 {
			t.Errorf("port %d, which never reads, lost nothing: %+v", p.number, out)
		}
		sum.Full += out.Dropped.Full
		sum.HeadDrop += out.Dropped.HeadDrop
		sum.Timeout += out.Dropped.Timeout + out.Dropped.Stalled
	}
	t.Logf("lost %+v; of %d frames of the client that leaves, %d came", sum, ports[leaver-1].sent, s.Ports[leaver-1].In.Frames)
	if want := [...]bool{policy != vswitch.HeadDrop, policy == vswitch.HeadDrop, policy == vswitch.Backpressure}; [...]bool{sum.Full > 0, sum.HeadDrop > 0, sum.Timeout > 0} != want {
		t.Errorf("lost for reasons that are not those of the policy: %+v", sum)
	}
}

// tx returns what the kernel, or the switch, has taken from the clients of p.
func (p *loadedPort) tx() (n uint64) {
	for _, c := range p.conns {
		n += c.Stats().TxFrames
	}
	return n
}

// What a client had sent and the switch did not read before it threw the client
// out is counted.
func TestUnreadWhenThrownOut(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(sw *vswitch.Switch) error
	}{
		{"disconnect", func(sw *vswitch.Switch) error { return sw.Disconnect(1, 0) }},
		{"close", func(sw *vswitch.Switch) error { return sw.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			// The one who reads waits for B, who does not, as long as it takes.
			sw, dir := start(t, vswitch.Config{Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{Wait: vswitch.Forever, Queue: 1})}})
			b := attach(t, sw, 2)
			a := open(t, dir, vde.WithPort(1))
			f := testFrame(macB, macA, 60, 1)
			// The queue to the switch is full, and the switch waits.
			var sent uint64
			batch := make([][]byte, 32)
			for i := range batch {
				batch[i] = f
			}
			until(t, "full", func() bool {
				n, err := a.TryWriteBatch(batch)
				if err != nil && !errors.Is(err, vde.ErrFull) {
					t.Fatal(err)
				}
				sent += uint64(n)
				return n == 0 && vswitch.Queued(sw, b) == 1
			})
			if err := test.end(sw); err != nil {
				t.Fatal(err)
			}
			b.Close()
			until(t, "all frames counted", func() bool { return sw.Stats().Ports[0].In.Frames == sent })
			s := sw.Stats()
			checkAccounts(t, s)
			if in := s.Ports[0].In; in.Dropped.Closed+in.Forwarded != sent || in.Bytes != 60*in.Forwarded {
				t.Errorf("%d frames sent, %+v", sent, in)
			}
			if _, err := a.Write(f); !errors.Is(err, vde.ErrHangup) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("after it: %v", err)
			}
			if tx := a.Stats().TxFrames; tx != sent {
				t.Errorf("%d frames taken in all, want %d", tx, sent)
			}
		})
	}
}

// When a client ends its control stream, nothing more is sent to it while what it
// had sent is read: were its socket closed already, the kernel would throw all of
// that away.
func TestSendsNothingToWhoLeaves(t *testing.T) {
	sw, dir := start(t, vswitch.Config{Ports: map[int]vswitch.PortConfig{
		1: withStatic(macA, vswitch.PortConfig{}),
		2: withStatic(macB, vswitch.PortConfig{Wait: vswitch.Forever, Queue: 1}),
	}})
	b, c := attach(t, sw, 2), attach(t, sw, 3)
	a := plug(t, dir, plugOptions{request: v3(0, 1)})
	const sent = 100
	for i := range sent {
		a.send(testFrame(macB, macA, 60, byte(i)))
	}
	until(t, "the switch waits for B", func() bool { return vswitch.Queued(sw, b) == 1 })
	if err := a.ctl.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	f := testFrame(macA, macC, 60, 0)
	until(t, "nothing is sent to A", func() bool {
		write(t, c, f)
		return sw.Stats().Ports[0].Out.Dropped.Refused > 0
	})
	a.closeData()
	write(t, c, f)
	got := 0
	buf := make([]byte, 100)
	for {
		// The reader of A has a second, so not everything need be delivered.
		if s := sw.Stats(); s.Ports[0].In.Frames == sent && vswitch.Queued(sw, b) == 0 {
			checkAccounts(t, s)
			if in := s.Ports[0].In; in.Forwarded+in.Dropped.Closed != sent || s.Ports[1].Out.Frames != uint64(got) {
				t.Errorf("B got %d frames\n%+v\n%+v", got, in, s.Ports[1].Out)
			}
			break
		}
		b.SetReadDeadline(time.Now().Add(long))
		if _, err := b.Read(buf); err != nil {
			t.Fatal(err, sw.Stats())
		}
		got++
	}
}
