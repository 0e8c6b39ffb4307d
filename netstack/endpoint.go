// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

const (
	// DefaultMTU is the MTU where none is given, the one that fits through
	// every VDE switch.
	DefaultMTU = 1500

	// MaxMTU is the largest MTU: a frame of it fills the largest buffer gVisor
	// keeps in a pool, 64 KiB. The connection must be opened with
	// [vde.WithMaxFrameSize] of at least MTU + 14 above 9220.
	MaxMTU = 65522

	minMTU = 68 // RFC 791: every link carries this
)

// gsoMaxSize is the longest packet that the stack hands down at once: with the
// headers of Ethernet and of offload it is 64 KiB.
const gsoMaxSize = maxOffloadMTU

// A FullPolicy says what happens to a packet when the queue is full.
type FullPolicy int

const (
	// WaitWhenFull makes the sender wait. It is the default.
	WaitWhenFull FullPolicy = iota

	// DropWhenFull drops the packet and counts it, as Ethernet hardware does.
	// Frames are then copied once more on their way out.
	DropWhenFull
)

// An EndpointConfig adjusts an [Endpoint]. The zero value works.
type EndpointConfig struct {
	MAC frame.MAC // default: random, locally administered
	MTU int       // of IP packets, 68 to MaxMTU; default DefaultMTU

	// Promiscuous accepts frames for other stations too. Without it, frames
	// for MAC, broadcast and multicast come in.
	Promiscuous bool

	// Full says what happens to packets when the other side does not keep up.
	Full FullPolicy

	// Queue is how many frames may wait in the endpoint for the connection
	// (default 256). Under WaitWhenFull as many again are in reserve for
	// packets that cannot wait.
	Queue int

	// Processors is how many goroutines deliver to the stack (default 1: the
	// one that receives). Packets of one flow stay in order.
	Processors int

	// Coalesce merges consecutive segments of a TCP connection that came in one
	// batch into packets of up to 64 KiB, which makes receiving cheaper. Without
	// it each frame becomes one packet. Leave it off for a stack that forwards
	// packets, which then would be too long for where they go.
	Coalesce bool

	// NoOffload does without offload headers, which NewEndpoint otherwise asks
	// the connection for; see [vde.Conn.EnableOffload]. Where the other side has
	// agreed to them, packets of up to 64 KiB go out and come in as one frame
	// each. Set it for a stack that forwards packets, which then would be too
	// long for where they go. They are also not asked for above an MTU of 65512.
	NoOffload bool

	// NoChecksums leaves transport checksums out when sending and trusts them
	// unseen when receiving. Only for links where both ends are set so.
	NoChecksums bool

	// DeliverLinkPackets shows received frames to the stack's packet sockets
	// too, which costs a little for each. NICOptions.DeliverLinkPackets does the
	// same and adds sent packets; do not set both.
	DeliverLinkPackets bool

	// OnEnd, if not nil, is called once, from a goroutine of its own, when the
	// connection has ended, however that came about. It may call Close.
	OnEnd func(error)
}

// An Endpoint is a [stack.LinkEndpoint] on one port of a VDE network. It frames
// packets for Ethernet, segments TCP, and sends and receives in batches; no
// queueing discipline is needed above it.
//
// The endpoint owns its connection: nobody else may read it, and Close closes it.
type Endpoint struct {
	conn        *vde.Conn
	caps        stack.LinkEndpointCapabilities
	headerLen   int // of the offload header in front of each frame, or 0
	promiscuous bool
	coalesce    bool
	deliverLink atomic.Bool // shows received frames to packet sockets
	full        FullPolicy
	processors  int
	onEnd       func(error)

	mtu      atomic.Uint32
	addr     atomic.Pointer[tcpip.LinkAddress]
	addrBits atomic.Uint64 // addr once more, for comparing

	tx      txQueue
	sent    lastSent
	repeats bool // the connection may come back, and then sent is of use

	// rxTrusted is whether the packet just being delivered need not be verified.
	rxTrusted atomic.Bool

	mu       sync.Mutex
	run      *run   // guarded by mu; nil while detached
	last     *run   // guarded by mu; run, or the one before
	closed   bool   // guarded by mu
	onClose  func() // guarded by mu
	attached atomic.Bool

	ctx      context.Context // ends with the connection
	cancel   context.CancelCauseFunc
	watching sync.WaitGroup // the goroutine that runs finish

	stats endpointCounters
}

var (
	_ stack.LinkEndpoint = (*Endpoint)(nil)
	_ stack.GSOEndpoint  = (*Endpoint)(nil)
)

// A run is the life of the endpoint's goroutines between Attach and its end.
type run struct {
	dispatcher stack.NetworkDispatcher
	wg         sync.WaitGroup
	done       chan struct{} // closed when all have ended
	delivering atomic.Int32  // goroutines inside dispatcher
	alone      bool          // no goroutine of the run before is left; immutable

	mu       sync.Mutex  // orders deadlines against stopping
	stopping atomic.Bool // written with mu held
}

// aLongTimeAgo is a deadline that has passed: setting it wakes whoever waits.
var aLongTimeAgo = time.Unix(1, 0)

// NewEndpoint returns an endpoint on c and takes c over, unless it fails.
// Nothing is sent or received before a stack attaches to it.
func NewEndpoint(c *vde.Conn, cfg EndpointConfig) (*Endpoint, error) {
	if c == nil {
		return nil, errors.New("netstack: no connection")
	}
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("netstack: %w", err)
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.MTU < minMTU || cfg.MTU > MaxMTU {
		return nil, fmt.Errorf("netstack: MTU %d is not between %d and %d", cfg.MTU, minMTU, MaxMTU)
	}
	if cfg.MAC == (frame.MAC{}) {
		cfg.MAC = randomMAC()
	}
	if cfg.MAC.IsGroup() {
		return nil, fmt.Errorf("netstack: %v is a group address, not a station's", cfg.MAC)
	}
	if cfg.Queue < 0 || cfg.Processors < 0 {
		return nil, errors.New("netstack: negative Queue or Processors")
	}
	if cfg.Queue == 0 {
		cfg.Queue = defaultQueue
	}
	if !cfg.NoOffload && cfg.MTU <= maxOffloadMTU {
		c.EnableOffload()
	}
	e := &Endpoint{
		conn:        c,
		caps:        stack.CapabilityResolutionRequired,
		promiscuous: cfg.Promiscuous,
		coalesce:    cfg.Coalesce,
		full:        cfg.Full,
		processors:  max(cfg.Processors, 1),
		onEnd:       cfg.OnEnd,
		repeats:     c.Reconnects(),
	}
	if cfg.NoChecksums {
		e.caps |= stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
	}
	if c.OffloadEnabled() {
		e.headerLen = frame.VNetHeaderLen
	}
	e.deliverLink.Store(cfg.DeliverLinkPackets)
	e.mtu.Store(uint32(cfg.MTU))
	e.SetLinkAddress(tcpip.LinkAddress(cfg.MAC[:]))
	e.tx.init(cfg.Queue)
	e.ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(c.Context()))
	e.watching.Add(1)
	context.AfterFunc(c.Context(), func() {
		e.finish(c.Err())
		e.watching.Done()
		if e.onEnd != nil { // last, because it may call Close, which waits for us
			e.onEnd(e.Err())
		}
	})
	return e, nil
}

// randomMAC returns a random unicast address with the bit of local
// administration set.
func randomMAC() (m frame.MAC) {
	rand.Read(m[:]) // never fails
	m[0] = m[0]&^1 | 2
	return m
}

// finish takes note that the connection has ended.
func (e *Endpoint) finish(cause error) {
	e.cancel(cause) // no effect if fail was faster
	e.attached.Store(false)
	e.stats.txDroppedEnd.Add(e.tx.close())
}

// fail ends the connection because it cannot be read any more.
func (e *Endpoint) fail(err error) {
	e.cancel(err)
	e.conn.Close() // finish follows
}

// Err returns nil while the connection is open and then the reason it ended:
// [vde.ErrHangup] if the switch ended it, net.ErrClosed after Close.
func (e *Endpoint) Err() error { return context.Cause(e.ctx) }

// Context returns a context that is cancelled when the connection ends, with
// what Err returns as its cause.
func (e *Endpoint) Context() context.Context { return e.ctx }

// Conn returns the connection, for its Stats.
func (e *Endpoint) Conn() *vde.Conn { return e.conn }

// MTU implements stack.LinkEndpoint.
func (e *Endpoint) MTU() uint32 { return e.mtu.Load() }

// SetMTU implements stack.LinkEndpoint. Values outside 68 to [MaxMTU] are
// brought inside. Sockets that are already connected keep their segment size,
// and the first longer frame to come may still meet a buffer of the old size.
func (e *Endpoint) SetMTU(mtu uint32) { e.mtu.Store(min(max(mtu, minMTU), MaxMTU)) }

// MaxHeaderLength implements stack.LinkEndpoint.
func (e *Endpoint) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress implements stack.LinkEndpoint.
func (e *Endpoint) LinkAddress() tcpip.LinkAddress { return *e.addr.Load() }

// SetLinkAddress implements stack.LinkEndpoint. An address that is not 6 bytes
// long is ignored.
func (e *Endpoint) SetLinkAddress(addr tcpip.LinkAddress) {
	if len(addr) != header.EthernetAddressSize {
		return
	}
	e.addr.Store(&addr)
	e.addrBits.Store(bitsOf([]byte(addr)))
}

// bitsOf packs the six bytes of an address.
func bitsOf(b []byte) uint64 {
	_ = b[5]
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])
}

// MAC returns the endpoint's address.
func (e *Endpoint) MAC() frame.MAC {
	m, _ := frame.MACFrom([]byte(e.LinkAddress()))
	return m
}

// Capabilities implements stack.LinkEndpoint. Checksum offload in general is
// claimed only with [EndpointConfig.NoChecksums]. But the stack asks again for
// each packet that it is given, whether it was verified, and is told about that
// packet: those that were merged have been verified, and the other side vouches
// for those without a checksum.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	if e.rxTrusted.Load() {
		return e.caps | stack.CapabilityRXChecksumOffload
	}
	return e.caps
}

// GSOMaxSize implements stack.GSOEndpoint.
func (e *Endpoint) GSOMaxSize() uint32 { return gsoMaxSize }

// SupportedGSO implements stack.GSOEndpoint. To the stack the endpoint is
// hardware that segments: it takes TCP packets of up to GSOMaxSize without a
// checksum, cuts them to the MTU on their way out, and completes each. On the
// wire nothing tells the difference, and the stack's layers are walked once for
// dozens of frames, which gVisor's own software segmentation does not achieve.
// Where the connection's other side takes such packets whole, they are not cut.
func (e *Endpoint) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// ARPHardwareType implements stack.LinkEndpoint.
func (e *Endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.LinkEndpoint.
func (e *Endpoint) AddHeader(pkt *stack.PacketBuffer) {
	eth := header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize))
	eth.Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.LinkEndpoint.
func (e *Endpoint) ParseHeader(pkt *stack.PacketBuffer) bool {
	hdr, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	if !ok {
		return false
	}
	pkt.NetworkProtocolNumber = header.Ethernet(hdr).Type()
	return true
}

// Attach implements stack.LinkEndpoint. A dispatcher starts sending and
// receiving, if none is attached; nil stops both, waits until that has
// happened, and leaves the connection open for another Attach.
//
// gVisor attaches nil with the stack's lock held, and a packet just being
// delivered may need that lock. Attach does not wait for such a packet, which
// would be for ever; Close does.
func (e *Endpoint) Attach(dispatcher stack.NetworkDispatcher) {
	if dispatcher == nil {
		e.stop()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run != nil || e.closed || e.Err() != nil {
		return
	}
	_ = e.conn.SetDeadline(time.Time{}) // fails only if the connection has ended, which the loops will see
	r := &run{dispatcher: dispatcher, done: make(chan struct{}), alone: e.last.over()}
	e.run, e.last = r, r
	e.attached.Store(true)
	e.tx.open()
	r.wg.Go(func() { e.receiveLoop(r) })
	r.wg.Go(e.transmitLoop)
	go func() {
		r.wg.Wait()
		close(r.done)
	}()
}

// stop ends the goroutines and waits for them.
func (e *Endpoint) stop() {
	e.mu.Lock()
	r := e.run
	e.run = nil
	e.attached.Store(false)
	e.mu.Unlock()
	if r == nil {
		return
	}
	r.mu.Lock()
	r.stopping.Store(true)
	_ = e.conn.SetDeadline(aLongTimeAgo) // fails only if the connection has ended
	r.mu.Unlock()
	e.stats.txDroppedEnd.Add(e.tx.close())
	r.wait()
}

// over reports whether none of r's goroutines is left.
func (r *run) over() bool {
	if r == nil {
		return true
	}
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// deliveryTime is how long the delivery of a packet may take before it must be
// assumed to wait for a lock that the one who waits for it holds.
const deliveryTime = 100 * time.Millisecond

// wait returns when r's goroutines have ended, or all that are left are stuck in
// a delivery.
func (r *run) wait() {
	timer := time.NewTimer(deliveryTime)
	defer timer.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-timer.C:
		}
		if r.stopping.Load() && r.delivering.Load() > 0 {
			return
		}
		timer.Reset(deliveryTime)
	}
}

// IsAttached implements stack.LinkEndpoint. It is false again after the end of
// the connection.
func (e *Endpoint) IsAttached() bool { return e.attached.Load() }

// Wait implements stack.LinkEndpoint: it returns when the endpoint's goroutines
// have stopped, because of Attach(nil), Close, or the end of the connection.
func (e *Endpoint) Wait() {
	e.mu.Lock()
	r := e.run
	e.mu.Unlock()
	if r != nil {
		r.wait()
	}
}

// SetOnCloseAction implements stack.LinkEndpoint: Close calls f once
// nothing is sent or received any more. A stack sets one that removes its NIC.
func (e *Endpoint) SetOnCloseAction(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.onClose = f
}

// Close implements stack.LinkEndpoint: it detaches the endpoint and closes the
// connection. Packets not yet sent are released. Calls after the first do
// nothing.
func (e *Endpoint) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	f, last := e.onClose, e.last
	e.onClose = nil
	e.mu.Unlock()
	// First, because f takes the stack's lock: it removes the NIC.
	e.stop()
	if f != nil {
		f()
	}
	e.conn.Close() // its error is about a descriptor that is gone either way
	if last != nil {
		<-last.done
	}
	e.watching.Wait()
}
