// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// gsoMaxSize is the longest packet that the stack sends at once: with the Ethernet
// and virtio-net headers it is 64 KiB.
const gsoMaxSize = maxOffloadMTU

// An Endpoint is a [stack.LinkEndpoint] on one port of a VDE network. It adds and
// removes Ethernet headers, segments TCP packets, and sends and receives in
// batches. It needs no queueing discipline.
//
// The endpoint owns its connection: only the endpoint may read from it, and Close
// closes it.
type Endpoint struct {
	conn        *vde.Conn
	caps        stack.LinkEndpointCapabilities
	offload     bool // read packets with headers; see [vde.Conn.ReadPackets]
	promiscuous bool
	gro         bool
	deliverLink atomic.Bool // received frames are delivered to packet sockets too
	policy      Policy
	processors  int
	onEnd       func(error)

	mtu      atomic.Uint32
	addr     atomic.Pointer[tcpip.LinkAddress]
	addrBits atomic.Uint64 // addr as a number, for comparisons

	tx     txQueue
	tail   tailProbe
	probes bool // the connection reconnects, so that tail is needed

	paths     *pathMTUs // nil if the stack alone handles path MTUs; set before Attach
	delivered func()    // if not nil, called after each delivery of a packet; set before Attach

	// rxTrusted is set while a packet is delivered that need not be verified.
	rxTrusted atomic.Bool

	mu       sync.Mutex
	run      *run   // guarded by mu; nil while detached
	last     *run   // guarded by mu; run, or the previous one
	closed   bool   // guarded by mu
	onClose  func() // guarded by mu
	attached atomic.Bool

	ctx      context.Context // ends with the connection
	cancel   context.CancelCauseFunc
	watching sync.WaitGroup // of the goroutine that calls finish
	unwatch  func() bool    // keeps finish from being called

	stats endpointCounters
}

var (
	_ stack.LinkEndpoint = (*Endpoint)(nil)
	_ stack.GSOEndpoint  = (*Endpoint)(nil)
)

// A run holds the goroutines of the endpoint from Attach until they have ended.
type run struct {
	dispatcher stack.NetworkDispatcher
	wg         sync.WaitGroup
	done       chan struct{} // closed when all have ended
	delivering atomic.Int32  // goroutines that are calling dispatcher
	alone      bool          // the goroutines of the previous run have ended; immutable

	mu       sync.Mutex  // held while stopping or the deadline changes
	stopping atomic.Bool // written with mu held
}

// past is a deadline that has passed: setting it wakes the calls that wait.
var past = time.Unix(1, 0)

// NewEndpoint returns an endpoint on c and takes c over. If NewEndpoint fails, c
// is still the caller's. Nothing is sent or received before a stack attaches to
// the endpoint.
func NewEndpoint(c *vde.Conn, cfg EndpointConfig) (*Endpoint, error) {
	if c == nil {
		return nil, errors.New("netstack: the connection is nil")
	}
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("netstack: %w", err)
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("netstack: %w", err)
	}
	if least := cfg.MTU + header.EthernetMinimumSize; least > c.MaxFrameSize() {
		return nil, fmt.Errorf("netstack: MTU %d needs frames of %d bytes, and the connection carries %d; open it with vde.WithMaxFrameSize(%d)",
			cfg.MTU, least, c.MaxFrameSize(), least)
	}
	e := &Endpoint{
		conn:        c,
		caps:        stack.CapabilityResolutionRequired,
		promiscuous: cfg.Promiscuous,
		gro:         cfg.GRO,
		policy:      cfg.Policy,
		processors:  cfg.Processors,
		onEnd:       cfg.OnEnd,
		probes:      c.Caps().State != nil,
		offload:     !cfg.NoOffload && cfg.MTU <= maxOffloadMTU,
	}
	if cfg.NoChecksums {
		e.caps |= stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
	}
	e.deliverLink.Store(cfg.DeliverLinkPackets)
	e.mtu.Store(uint32(cfg.MTU))
	e.SetLinkAddress(tcpip.LinkAddress(cfg.MAC[:]))
	e.tx.init(cfg.Queue)
	e.ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(c.Context()))
	e.watching.Add(1)
	e.unwatch = context.AfterFunc(c.Context(), func() {
		e.finish(c.Err())
		e.watching.Done()
		if e.onEnd != nil { // after Done, because it may call Close, which waits for it
			e.onEnd(e.Err())
		}
	})
	return e, nil
}

// randomMAC returns a random unicast address with the locally administered bit set.
func randomMAC() (m frame.MAC) {
	rand.Read(m[:]) // never fails
	m[0] = m[0]&^1 | 2
	return m
}

// StableMAC returns a MAC for name: always the same for the same name, unicast and
// locally administered. A program that sets it as [HostConfig.MAC] keeps its Ethernet
// address when it is started again, and with it its address from DHCP. The name must
// be unique in the network: the name of the program alone is not, if two may run.
func StableMAC(name string) (m frame.MAC) {
	sum := sha256.Sum256([]byte(name))
	copy(m[:], sum[:])
	m[0] = m[0]&^1 | 2
	return m
}

// finish is called when the connection has ended.
func (e *Endpoint) finish(cause error) {
	e.cancel(cause) // no effect after fail
	e.attached.Store(false)
	e.stats.txDroppedClosed.Add(e.tx.close())
}

// fail ends the connection after an error of a read.
func (e *Endpoint) fail(err error) {
	e.cancel(err)
	e.conn.Close() // the connection then calls finish
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

// SetMTU implements stack.LinkEndpoint. It limits mtu to the range from 68 to
// [MaxMTU]. Connected sockets keep their segment size. The first longer frame that
// arrives may be truncated by a buffer of the old size.
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

// Capabilities implements stack.LinkEndpoint. It always includes checksum offload
// with [EndpointConfig.NoChecksums]. Otherwise it includes receive checksum offload
// while a packet is delivered that the stack need not verify: the stack asks for
// each packet. Such packets were merged from verified segments, or have a partial
// or verified checksum according to their virtio-net header.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	if e.rxTrusted.Load() {
		return e.caps | stack.CapabilityRXChecksumOffload
	}
	return e.caps
}

// GSOMaxSize implements stack.GSOEndpoint.
func (e *Endpoint) GSOMaxSize() uint32 { return gsoMaxSize }

// SupportedGSO implements stack.GSOEndpoint. The endpoint acts as hardware with TCP
// segmentation offload: it takes TCP packets of up to GSOMaxSize with partial
// checksums, segments them to the MTU, and completes the checksum of each segment.
// The frames on the wire are the same, and one packet passes through the layers of
// the stack for dozens of frames, unlike with gVisor's software segmentation. If
// the other side of the connection takes GSO frames, they are not segmented.
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

// Attach implements stack.LinkEndpoint. With a dispatcher, it starts to send and
// receive, unless a dispatcher is attached already. With nil, it stops both, waits
// until they have stopped, and leaves the connection open for another Attach.
//
// gVisor attaches nil with the lock of the stack held, and the delivery of a packet
// may need that lock. Attach does not wait for such a delivery, which would be a
// deadlock. Close does.
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
	_ = e.conn.SetDeadline(time.Time{}) // fails only if the connection has ended, which ends the loops
	r := &run{dispatcher: dispatcher, done: make(chan struct{}), alone: e.last.ended()}
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
	_ = e.conn.SetDeadline(past) // fails only if the connection has ended
	r.mu.Unlock()
	e.stats.txDroppedClosed.Add(e.tx.close())
	r.wait()
}

// ended reports whether all goroutines of r have ended.
func (r *run) ended() bool { return r == nil || isDone(r.done) }

// deliveryTime is how long the delivery of a packet may take, in time that this
// process had (see countdown). A longer delivery is taken to wait for a lock that the
// caller of Attach holds.
const deliveryTime = 100 * time.Millisecond

// wait returns when the goroutines of r have ended, or when r is stopping and a
// delivery takes longer than deliveryTime.
func (r *run) wait() {
	delivery := newCountdown(deliveryTime)
	defer delivery.stop()
	for {
		select {
		case <-r.done:
			return
		case <-delivery.timer.C:
		}
		if delivery.passed() && r.stopping.Load() && r.delivering.Load() > 0 {
			return
		}
	}
}

// IsAttached implements stack.LinkEndpoint. It returns false after the connection
// has ended.
func (e *Endpoint) IsAttached() bool { return e.attached.Load() }

// Wait implements stack.LinkEndpoint. It returns when the goroutines of the endpoint
// have ended, because of Attach(nil), Close, or the end of the connection.
func (e *Endpoint) Wait() {
	e.mu.Lock()
	r := e.run
	e.mu.Unlock()
	if r != nil {
		r.wait()
	}
}

// SetOnCloseAction implements stack.LinkEndpoint. Close calls f after sending and
// receiving have stopped. A stack sets a function that removes its NIC.
func (e *Endpoint) SetOnCloseAction(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.onClose = f
}

// Close implements stack.LinkEndpoint. It detaches the endpoint and closes the
// connection. Packets that have not been sent are released. Calls after the first
// have no effect.
func (e *Endpoint) Close() { e.close(false) }

// close is Close, but leaves the connection open if keep is set.
func (e *Endpoint) close(keep bool) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	f, last := e.onClose, e.last
	e.onClose = nil
	e.mu.Unlock()
	e.stop() // before f, which takes the lock of the stack to remove the NIC
	if f != nil {
		f()
	}
	if !keep {
		e.conn.Close() // the descriptor is closed even if it returns an error
	}
	if last != nil {
		<-last.done
	}
	if keep && e.unwatch() {
		e.finish(net.ErrClosed)
		e.watching.Done()
		_ = e.conn.SetDeadline(time.Time{}) // fails only if the connection has ended
	}
	e.watching.Wait()
}
