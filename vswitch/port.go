// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

// A port is the record of one port number. It stays when its last endpoint has
// gone, with its configuration and its counters.
type port struct {
	sw  *Switch
	num int

	conf      atomic.Pointer[portConf]
	endpoints atomic.Pointer[[]*endpoint] // replaced with sw.mu held
	mirrors   atomic.Pointer[[]*mirror]
	in        [2]inCounters  // see inNow
	out       [2]outCounters // see outNow
	total     PortStats      // guarded by sw.statsMu; what was moved out of in and out
	storm     bucket
	loop      loopState     // guarded by sw.mu
	turn      atomic.Uint64 // of PortConfig.RoundRobin: frames so far

	fdb fdb.Port[*port]
}

// A portConf is a PortConfig made ready for use. It does not change.
type portConf struct {
	PortConfig
	tagged  *vlanSet // nil for none
	blocked bool     // because of a loop
}

// member reports whether the port is in v, tagged or not.
func (c *portConf) member(v uint16) bool {
	return v == c.VLAN && v != NoVLAN || c.tagged != nil && c.tagged.has(v)
}

func newPort(sw *Switch, num int) *port {
	p := &port{sw: sw, num: num, total: PortStats{Port: num}}
	p.fdb.Owner = p
	p.endpoints.Store(new([]*endpoint))
	p.mirrors.Store(new([]*mirror))
	return p
}

// configure makes pc, which is normalized, p's configuration; sw.mu is held.
func (p *port) configure(pc PortConfig) {
	conf := &portConf{PortConfig: pc, blocked: p.loop.Blocked}
	if len(pc.Tagged) > 0 {
		conf.tagged = new(vlanSet)
		for _, v := range pc.Tagged {
			conf.tagged.add(v)
		}
	}
	p.conf.Store(conf)
	p.storm.configure(pc.StormLimit)
	p.configureFDB(conf)
}

// maxTimeouts is how many time-outs in a row make senders stop waiting for a
// port: enough to tell a peer that stopped from one that waits for a processor.
const maxTimeouts = 5

// An endpoint connects one in-process peer or link to a port.
type endpoint struct {
	port   *port // set by addEndpoint, nil before
	info   Endpoint
	egress egress

	timeouts atomic.Int32 // of senders that waited, since it took a frame
	budget   waitBudget   // for waiting as a sender

	missed atomic.Uint64 // copies that were dropped, of a monitor session

	impaired impairments
	lines    sync.WaitGroup // goroutines of impaired; added to with sw.mu held while e is attached

	// Ending: hangup detaches the endpoint and calls ended once.
	once  sync.Once
	ended func(cause error)
}

// hangup ends the endpoint from the switch's side. It does not wait for its
// goroutines.
func (e *endpoint) hangup(cause error) {
	e.once.Do(func() {
		e.port.sw.removeEndpoint(e, cause)
		e.ended(cause)
	})
}

// idle reports whether an endpoint of p may have nothing left to read.
func (p *port) idle() bool {
	for _, e := range *p.endpoints.Load() {
		if e.idle() {
			return true
		}
	}
	return false
}

// A Kind says what an [Endpoint] is. It is its own text form.
type Kind string

// Kinds of endpoints.
const (
	KindInProcess    Kind = "in-process"    // from Attach
	KindSocket       Kind = "socket"        // from a control socket
	KindSharedMemory Kind = "shared-memory" // from a control socket; its frames go through shared memory
	KindStream       Kind = "stream"        // from a control socket; its frames go through the control stream
	KindLink         Kind = "link"          // from AttachLink
	KindMonitor      Kind = "monitor"       // from Monitor
)

// An Endpoint describes what is attached to a port. A port may have several, of
// the same user.
type Endpoint struct {
	ID          uint64 // unique in the life of the switch
	Kind        Kind
	Description string
	UID, GID    uint32 // of the peer; for in-process ports of this process
	PID         int32
	Dir         string `json:",omitempty"` // control directory, if any
	Since       time.Time
	Queued      int          // frames in the switch's own queue to it, or delayed by PortConfig.Impair
	Offload     link.Offload `json:",omitempty"` // the unfinished frames it takes
	Uplink      bool         `json:",omitempty"` // see LinkConfig.Uplink
	Down        bool         `json:",omitempty"` // a link that will be opened again
}

// PortInfo describes a port.
type PortInfo struct {
	Number     int
	Config     PortConfig
	FDBEntries int
	Loop       LoopInfo
	Endpoints  []Endpoint
}

// Active reports whether the port has an endpoint.
func (p PortInfo) Active() bool { return len(p.Endpoints) > 0 }

// Ports lists the ports that are or have been in use or configured, by number.
func (sw *Switch) Ports() []PortInfo {
	records := sw.records()
	list := make([]PortInfo, len(records))
	for i, p := range records {
		list[i] = PortInfo{Number: p.num, Config: p.conf.Load().PortConfig}
		for _, c := range *p.endpoints.Load() {
			info := c.info
			info.Queued, info.Offload = c.queued(), c.offload()
			if l, ok := c.egress.(*linkEndpoint); ok && l.redials {
				info.Down = !l.link.Caps().State.State().Up
			}
			list[i].Endpoints = append(list[i].Endpoints, info)
		}
	}
	sw.mu.Lock()
	for i, p := range records {
		list[i].Loop = p.loop.LoopInfo
	}
	sw.mu.Unlock()
	if sw.cfgErr == nil {
		sw.fdb.RLock()
		for i, p := range records {
			list[i].FDBEntries = p.fdb.Len()
		}
		sw.fdb.RUnlock()
	}
	return sw.withConfigured(list)
}

// withConfigured returns list, which is sorted, with the ports that were only configured.
func (sw *Switch) withConfigured(list []PortInfo) []PortInfo {
	if sw.cfgErr != nil {
		return list
	}
	recorded := len(list)
	for n, pc := range sw.Config().Ports {
		_, ok := slices.BinarySearchFunc(list[:recorded], n, func(p PortInfo, n int) int { return p.Number - n })
		if !ok {
			list = append(list, PortInfo{Number: n, Config: pc})
		}
	}
	slices.SortFunc(list, func(a, b PortInfo) int { return a.Number - b.Number })
	return list
}

// PortOf returns the port of c, which [Switch.Attach] returned.
func (sw *Switch) PortOf(c *vde.Conn) (n int, ok bool) {
	for p := range sw.active.Load().all {
		for _, e := range *p.endpoints.Load() {
			if l, ok := e.egress.(*inproc); ok && l.conn == c {
				return p.num, true
			}
		}
	}
	return 0, false
}

func (c *endpoint) logAttrs() []any {
	return []any{
		"port", c.port.num, "endpoint", c.info.ID, "kind", c.info.Kind, "dir", c.info.Dir,
		"uid", c.info.UID, "pid", c.info.PID, "description", c.info.Description,
	}
}
