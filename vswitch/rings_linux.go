// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

// accepts returns the features that a client of user uid may have of those it
// offers.
func (sw *Switch) accepts(uid uint32) uint64 {
	sameUser := int(uid) == os.Geteuid()
	switch mode := sw.cfg.SharedMemory; {
	case mode == vde.SharedMemoryAlways, sameUser && mode == vde.SharedMemorySameUser:
		return shm.FeatureRings | shm.FeatureHeaders
	case sameUser:
		return shm.FeatureHeaders // no memory is shared for that
	}
	return 0
}

// rings looks at the descriptors that p attached to its request, which it takes
// over, and returns the switch's end of the rings that p is to have, or nil if
// frames go through sockets, then whether they have offload headers there, and
// what to attach to the reply. A client whose offer is of no use gets a port all
// the same.
func (l *Listener) rings(p Peer, fds []int) (end *shm.End, agreed bool, attach []int) {
	end, agreed, attach, err := shm.Accept(fds, l.sw.accepts(p.UID))
	if err != nil {
		l.sw.serve.badOffers.Add(1)
		l.sw.cfg.Logger.Info("refused an offer of shared memory", "dir", l.dir, "uid", p.UID, "pid", p.PID, "reason", err)
	}
	return end, agreed, attach
}

// ringEnds is our ends of all rings, whatever switch they are of: who polls for one
// of them keeps a processor of the whole process.
var ringEnds shm.Group

// A ringCarrier carries frames through rings. The data socket that the reply names
// stays, connected to the peer's, so that the directory and the handshake are what
// they are for everybody; nothing comes through it.
type ringCarrier struct {
	*shm.End
	data int
}

func (r *ringCarrier) Close() (unread int, err error) {
	unread, err = r.End.Close()
	unix.Close(r.data)
	return unread, err
}

// A rightsConn is a control stream that keeps the descriptors which come with
// what is read from it.
//
// A descriptor may be of a file whose owner decides how long it takes to read or
// even to close it. So none is received from who may not offer anything: those the
// kernel throws away.
type rightsConn struct {
	*net.UnixConn
	none bool
	fds  []int // owned
}

func (c *rightsConn) Read(p []byte) (n int, err error) {
	if c.none {
		return c.UnixConn.Read(p)
	}
	var oob [shm.RightsLen]byte
	n, oobn, _, _, err := c.ReadMsgUnix(p, oob[:])
	c.fds = shm.AppendRights(c.fds, oob[:oobn])
	return n, err
}

// slabFrame is the size up to which a frame is copied out of a ring into memory
// that the batch has anyway. Should a port inside the process get it, it is copied
// again; a longer one is put into a buffer that can be handed on.
const slabFrame = mediumBuffer

// Place implements [shm.Placer]: it makes the i-th frame of a ring item i of b.
func (b *batch) Place(i, size int, o frame.VNetHeader) []byte {
	it := &b.items[i]
	it.size, it.off = size, o
	longest := b.sw.cfg.MaxFrame
	if o.GSOType != frame.GSONone {
		longest = max(longest, frame.MaxGSO)
	}
	switch {
	case size > longest:
		return nil
	case size <= slabFrame:
		it.data = b.slab[b.slabUsed : b.slabUsed+size : b.slabUsed+size]
		b.slabUsed += size
	default:
		it.home = b.sw.poolFor(size).Get()
		it.data = it.home.Bytes()[:size]
	}
	return it.data
}

// readRings forwards what the peer publishes until the cable is closed. While it
// waits for an answer, it stands in for other cables, so that one goroutine does for
// both directions of an exchange.
func (c *socketCable) readRings(rings *shm.End) {
	handBack := rings.HandBack
	relieved := false
	relieve := func() {
		handBack()
		relieved = true
		go c.readRings(rings)
	}
	for !relieved {
		who, err := rings.AwaitFrame()
		switch {
		case err != nil: // closed, drained, or broken, for which it is hung up on
			handBack()
			c.taking.Lock() // somebody may still stand in
			close(c.reading)
			c.taking.Unlock()
			return
		case who == rings:
			if !c.taking.TryLock() {
				handBack()
				c.taking.Lock()
			}
			c.forwardRings(rings, handBack)
		default:
			other := who.Owner().(*socketCable)
			if !other.taking.TryLock() || !other.forwardRings(who, relieve) {
				handBack() // for its own goroutine to see to it
			}
		}
	}
}

// forwardRings forwards a batch of what the peer has published and reports whether
// there was any; taking is held, and released. relieve is called before it waits for
// room.
func (c *socketCable) forwardRings(rings *shm.End, relieve func()) bool {
	defer c.taking.Unlock()
	// An idle cable holds neither a batch nor buffers.
	b := newBatch(c.port)
	defer b.free()
	b.done, b.relieve = c.done, relieve
	if b.slab == nil {
		b.slab = make([]byte, maxBatch*slabFrame)
	}
	b.slabUsed = 0
	n, err := rings.Recv(b, maxBatch, false)
	if err != nil {
		return false // the next AwaitFrame returns it too, or waits
	}
	b.n = n
	b.forward()
	var homes [maxBatch]*pool.Buffer
	for i := range b.items[:n] {
		homes[i] = b.items[i].home // nil if it was handed on
	}
	pool.ReleaseBatch(homes[:n])
	return true
}

// brokeRings hangs up on a peer that broke its rings.
func (c *socketCable) brokeRings(err error) {
	c.sw.serve.broken.Add(1)
	c.hangup(err)
}
