// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/vde"
)

// A port is the record of one port number. It stays when its last cable is
// pulled, with its configuration and its counters.
type port struct {
	sw  *Switch
	num int

	conf    atomic.Pointer[portConf]
	cables  atomic.Pointer[[]*cable] // replaced with sw.mu held
	mirrors atomic.Pointer[[]*mirror]
	in      inCounters
	out     outCounters
	storm   bucket

	// Of the table, guarded by table.mu:
	plugged     bool
	stations    *station // the stations behind this port, the latest first
	numStations int
}

// A portConf is a PortConfig made ready for use. It does not change.
type portConf struct {
	PortConfig
	tagged *vlanSet // nil for none
}

// member reports whether the port is in v, tagged or not.
func (c *portConf) member(v uint16) bool {
	return v == c.VLAN && v != NoVLAN || c.tagged != nil && c.tagged.has(v)
}

func newPort(sw *Switch, num int) *port {
	p := &port{sw: sw, num: num}
	p.cables.Store(new([]*cable))
	p.mirrors.Store(new([]*mirror))
	return p
}

// configure makes pc, which is normalized, p's configuration; sw.mu is held.
func (p *port) configure(pc PortConfig) {
	conf := &portConf{PortConfig: pc}
	if len(pc.Tagged) > 0 {
		conf.tagged = new(vlanSet)
		for _, v := range pc.Tagged {
			conf.tagged.add(v)
		}
	}
	p.conf.Store(conf)
	p.storm.configure(pc.StormLimit)
	p.sw.table.configure(p, conf)
}

// maxMisses is how often senders wait in vain for a port before they leave off:
// often enough to tell a peer that stopped from one that waits for a processor.
const maxMisses = 5

// A cable connects one in-process or socket peer to a port.
type cable struct {
	port *port // set by plug, nil before
	info Cable
	out  outlet

	misses atomic.Int32 // how often senders have waited in vain since it took a frame

	// Ending: hangup unplugs the cable and calls ended once.
	once  sync.Once
	ended func(cause error)
}

// hangup ends the cable from the switch's side. It does not wait for its
// goroutines.
func (c *cable) hangup(cause error) {
	c.once.Do(func() {
		c.port.sw.unplug(c, cause)
		c.ended(cause)
	})
}

// An outlet is the way from the switch to the other end of a cable.
type outlet interface {
	// plugged is called with sw.mu held when the cable gets its port.
	plugged(c *cable) error

	// offer hands over as many of the items as the other end takes without
	// waiting, in order, in the form that as asks for (see item.inAlt), and
	// returns how many. If not all, cause says why. With give it may take the
	// items' buffers instead of adding references. What is left undone about a
	// frame in that form is in batch.header.
	offer(b *batch, items []uint8, as *portConf, give bool) (n int, cause dropCause)

	// offload reports whether the other end takes undone frames at this moment.
	// Who does not is offered none, but for those of a batch that is under way
	// when that changes.
	offload() bool

	// await waits until there may be room, at most for the given time.
	await(b *batch, left time.Duration) waitResult

	// queued returns how many frames are in the switch's own queue.
	queued() int
}

// A waitResult says why waiting for room has ended.
type waitResult int

const (
	waitRoom    waitResult = iota // there may be room
	waitTimeout                   // the time is over
	waitAborted                   // the sender does not want to wait any more
)

// Kinds of cables.
const (
	KindInProcess    = "in-process"    // from Attach
	KindSocket       = "socket"        // from a control socket
	KindSharedMemory = "shared-memory" // from a control socket; its frames go through shared memory
	KindTap          = "tap"           // from Tap
)

// A Cable describes what is plugged into a port.
type Cable struct {
	ID          uint64 // unique in the life of the switch
	Kind        string
	Description string
	UID, GID    uint32 // of the peer; for in-process ports of this process
	PID         int32
	Dir         string `json:",omitempty"` // control directory, if any
	Since       time.Time
	Queued      int  // frames in the switch's own queue to it
	Offload     bool `json:",omitempty"` // has agreed to frames with offload headers
}

// PortInfo describes a port.
type PortInfo struct {
	Number   int
	Config   PortConfig
	Stations int // known to be behind it
	Cables   []Cable
}

// Active reports whether anything is plugged in.
func (p PortInfo) Active() bool { return len(p.Cables) > 0 }

// Ports lists the ports that are or have been in use or configured, by number.
func (sw *Switch) Ports() []PortInfo {
	records := sw.records()
	list := make([]PortInfo, len(records))
	for i, p := range records {
		list[i] = PortInfo{Number: p.num, Config: p.conf.Load().PortConfig}
		for _, c := range *p.cables.Load() {
			info := c.info
			info.Queued, info.Offload = c.out.queued(), c.out.offload()
			list[i].Cables = append(list[i].Cables, info)
		}
	}
	sw.table.mu.RLock()
	defer sw.table.mu.RUnlock()
	for i, p := range records {
		list[i].Stations = p.numStations
	}
	return list
}

// PortOf returns the port that c, from Attach, is plugged into.
func (sw *Switch) PortOf(c *vde.Conn) (n int, ok bool) {
	for _, p := range *sw.active.Load() {
		for _, cable := range *p.cables.Load() {
			if o, ok := cable.out.(*inprocOutlet); ok && o.conn == c {
				return p.num, true
			}
		}
	}
	return 0, false
}

func (c *cable) logAttrs() []any {
	return []any{
		"port", c.port.num, "cable", c.info.ID, "kind", c.info.Kind, "dir", c.info.Dir,
		"uid", c.info.UID, "pid", c.info.PID, "description", c.info.Description,
	}
}
