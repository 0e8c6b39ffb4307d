// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// The ports of a socketLoad, by what their clients do beside sending.
const (
	framesPort       = 1 + iota // read from the channel
	batchesPort                 // read batches
	slowPort                    // read one frame for each batch that anybody writes
	stoppedPort                 // stop reading after 100 frames
	unreadPort                  // read nothing
	leavingPort                 // read batches, leave and come again
	evictedPort                 // read batches, are disconnected and come again
	inprocPort                  // read batches, in-process
	inprocUnreadPort            // read nothing, in-process
	nobodysPort                 // does not exist
)

const loadLives = 10 // of a client that comes again

// loadBatches returns how many batches each port sends.
func loadBatches() int {
	if testing.Short() {
		return 50
	}
	return 100
}

// A socketLoad is a switch with clients that send at random, and read in different
// ways.
type socketLoad struct {
	t       *testing.T
	seed    uint64
	sw      *vswitch.Switch
	dir     string
	streams bool          // all clients are joined by streams
	written chan struct{} // gets a token, if there is room, for each batch that anybody writes
	ports   []*loadedPort // port n is ports[n-1]
	writers sync.WaitGroup
	readers sync.WaitGroup
}

// A loadedPort is one port of a socketLoad: a client, or one after the other.
type loadedPort struct {
	*socketLoad
	number int
	rand   *rand.Rand // of the goroutine that sends

	conns []*vde.Conn // all there have been, the last one open
	sent  uint64      // frames that the write methods said they sent
}

// newSocketLoad returns a load of ports with a policy, which has not started.
func newSocketLoad(t *testing.T, policy vswitch.Policy) *socketLoad {
	sw, dir := start(t, vswitch.Config{
		MaxFrameSize: 1600,
		WriteBuffer:  16 << 10,
		DefaultPort:  vswitch.PortConfig{Policy: policy, Queue: 32, Wait: 200 * time.Microsecond, Tagged: []uint16{1}},
		Ports:        map[int]vswitch.PortConfig{slowPort: {Policy: policy, Wait: 200 * time.Microsecond, StormLimit: 5000}},
	})
	if err := errors.Join(sw.Mirror(framesPort, unreadPort), sw.Mirror(batchesPort, inprocPort)); err != nil {
		t.Fatal(err)
	}
	return &socketLoad{t: t, seed: randomSeed(t), sw: sw, dir: dir, written: make(chan struct{}, 1)}
}

// start has all clients send, and read.
func (l *socketLoad) start() {
	read := map[int]func(*vde.Conn){
		framesPort:  readFrames,
		batchesPort: readBatches,
		slowPort:    l.readSlowly,
		stoppedPort: readHundred,
		inprocPort:  readBatches,
	}
	for n := 1; n < nobodysPort; n++ {
		p := &loadedPort{socketLoad: l, number: n, rand: rand.New(rand.NewPCG(l.seed, uint64(n)))}
		l.ports = append(l.ports, p)
		if n == leavingPort || n == evictedPort {
			l.writers.Go(p.comeAndGo)
			continue
		}
		c, err := p.join()
		if err != nil {
			l.t.Fatal(err)
		}
		if read := read[n]; read != nil {
			l.readers.Go(func() { read(c) })
		}
		l.writers.Go(func() {
			for range loadBatches() {
				if !p.write(c) {
					l.t.Errorf("port %d cannot write", n)
					return
				}
			}
		})
	}
}

// comeAndGo has one client after the other leave, or be disconnected, while it
// sends.
func (p *loadedPort) comeAndGo() {
	batches := loadBatches() / loadLives
	for range loadLives {
		c, err := p.join()
		if err != nil {
			p.t.Error(err)
			return
		}
		p.readers.Go(func() { readBatches(c) })
		var leaving sync.WaitGroup
		end := p.rand.IntN(batches)
		for k := 0; p.write(c) && k < batches; k++ {
			if k != end {
				continue
			}
			leaving.Go(func() {
				if p.number == leavingPort {
					c.Close()
				} else if err := p.sw.Disconnect(p.number, 0); err != nil {
					p.t.Error(err)
				}
			})
		}
		leaving.Wait()
		c.Close()
	}
}

// finish waits until all frames that were sent have been forwarded, closes the
// clients when they have read what they read, and returns the final statistics.
func (l *socketLoad) finish() (s vswitch.Stats) {
	until(l.t, "everything sent has come", func() bool {
		s := l.sw.Stats()
		for i, p := range l.ports {
			if p.number != leavingPort && s.Ports[i].In.Frames != p.taken() {
				return false
			}
		}
		return true
	})
	close(l.written)
	for _, p := range l.ports {
		for _, c := range p.conns {
			c.Close()
		}
	}
	l.readers.Wait()
	until(l.t, "all detached", func() bool { return len(active(l.sw)) == 0 })
	until(l.t, "nothing on its way", func() bool {
		s = l.sw.Stats()
		return !slices.ContainsFunc(s.Ports, func(p vswitch.PortStats) bool { return p.Out.Queued > 0 })
	})
	return s
}

// loadedMAC is the address of the station behind a port.
func loadedMAC(port int) frame.MAC { return frame.MAC{2, 0, 0, 0, 1, byte(port)} }

func (p *loadedPort) inProcess() bool {
	return p.number == inprocPort || p.number == inprocUnreadPort
}

// taken returns how many frames the kernel, or the switch, has taken from the
// clients of p.
func (p *loadedPort) taken() (n uint64) {
	for _, c := range p.conns {
		n += c.Stats().TxFrames
	}
	return n
}

// join opens the next client.
func (p *loadedPort) join() (*vde.Conn, error) {
	var c *vde.Conn
	var err error
	if p.inProcess() {
		c, err = p.sw.Attach(vde.WithPort(p.number))
	} else {
		carrier, streams := vde.SharedMemorySameUser, vde.StreamsNever
		if p.streams {
			carrier, streams = vde.SharedMemoryNever, vde.StreamsAlways
		} else if (p.number+len(p.conns))%2 == 0 { // half of them, and those that come again in turns
			carrier = vde.SharedMemoryNever
		}
		c, err = vde.Open(context.Background(), p.dir, vde.WithPort(p.number), vde.WithSharedMemory(carrier), vde.WithStreams(streams))
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
		dst := loadedMAC(1 + r.IntN(nobodysPort))
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

// readHundred reads a hundred frames and then no more.
func readHundred(c *vde.Conn) {
	b := make([]byte, 2048)
	for range 100 {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// readSlowly reads one frame for each batch that is written.
func (l *socketLoad) readSlowly(c *vde.Conn) {
	b := make([]byte, 2048)
	for range l.written {
		if _, err := c.Read(b); err != nil {
			return
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
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) {
			s := newSocketLoad(t, policy).run()
			checkCauses(t, policy, s)
		})
	}
}

// TestStreamAccounting is TestSocketAccounting over streams, and without its
// exception: what a client that leaves had sent comes, and what a client has not
// read when it is thrown out can still be read.
func TestStreamAccounting(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) {
			if testing.Short() && policy != vswitch.Backpressure {
				t.Skip("the sums are the same for each policy")
			}
			l := newSocketLoad(t, policy)
			l.streams = true
			l.run()
		})
	}
}

// run runs the load and compares all counters.
func (l *socketLoad) run() vswitch.Stats {
	l.start()
	stop := watchAccounts(l.t, l.sw)
	l.writers.Wait()
	stop()
	s := l.finish()
	checkAccounts(l.t, s)
	for i, p := range l.ports {
		p.check(s.Ports[i])
	}
	l.t.Logf("of %d frames of the clients that leave, %d came", l.ports[leavingPort-1].sent, s.Ports[leavingPort-1].In.Frames)
	return s
}

// check compares what the clients of p have sent and received with what the switch
// counts.
func (p *loadedPort) check(s vswitch.PortStats) {
	p.t.Helper()
	in, out, taken := s.In, s.Out, p.taken()
	if taken != p.sent || in.Frames > taken || in.Frames < taken && (p.streams || p.number != leavingPort) {
		p.t.Errorf("port %d: %d frames sent, the connections count %d, the switch %+v", p.number, p.sent, taken, in)
	}
	var got, unread, refused uint64
	for _, c := range p.conns {
		st := c.Stats()
		refused += st.TxRefused
		got += st.RxFrames + st.RxRunts + st.RxTruncated + st.RxEmpty
		unread += st.RxDiscarded
	}
	if !p.inProcess() {
		got += unread // had left the switch
	} else if out.Dropped.Closed < unread {
		p.t.Errorf("port %d: %d frames left unread, %+v", p.number, unread, out)
	}
	if out.Frames < got || out.Frames > got && (p.streams || p.number != evictedPort || refused == 0) {
		p.t.Errorf("port %d: %d frames got, the switch counts %+v", p.number, got, out)
	}
	if out.Offered != out.Frames+out.Dropped.Sum() {
		p.t.Errorf("port %d: %+v", p.number, out)
	}
	if (p.number == unreadPort || p.number == inprocUnreadPort) && out.Dropped.Sum() == 0 {
		p.t.Errorf("port %d, which never reads, lost nothing: %+v", p.number, out)
	}
}

// checkCauses checks that frames were dropped for the causes that a policy has, and
// for no others.
func checkCauses(t *testing.T, policy vswitch.Policy, s vswitch.Stats) {
	t.Helper()
	var full, headDrop, timeout uint64
	for _, p := range s.Ports {
		full += p.Out.Dropped.Full
		headDrop += p.Out.Dropped.HeadDrop
		timeout += p.Out.Dropped.Timeout + p.Out.Dropped.Stalled
	}
	t.Logf("dropped: %d full, %d head drop, %d time-out", full, headDrop, timeout)
	for _, cause := range []struct {
		name string
		n    uint64
		want bool
	}{
		{"full", full, policy != vswitch.HeadDrop},
		{"head drop", headDrop, policy == vswitch.HeadDrop},
		{"time-out", timeout, policy == vswitch.Backpressure},
	} {
		if (cause.n > 0) != cause.want {
			t.Errorf("%s: %d frames dropped for the cause %s", policy, cause.n, cause.name)
		}
	}
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
