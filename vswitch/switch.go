// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

// Errors of a switch.
var (
	// ErrClosed is the reason why things end after [Switch.Close]: it is returned
	// by the methods of a closed switch and is the cause of the contexts of its
	// in-process ports, where it matches [vde.ErrHangup] too.
	ErrClosed error = closedError{}

	// ErrPort is in errors about a port that does not exist, or that may not be
	// had.
	ErrPort = errors.New("vswitch: no such port")

	// ErrFull is in errors about the lack of a free port.
	ErrFull = errors.New("vswitch: no free port")

	// ErrInUse is returned by [Switch.Listen] and [Switch.Serve] for a directory
	// in which another switch answers.
	ErrInUse = errors.New("vswitch: another switch serves this directory")
)

// closedError makes ErrClosed match vde.ErrHangup: who was plugged in has been
// hung up on.
type closedError struct{}

func (closedError) Error() string        { return "vswitch: switch closed" }
func (closedError) Is(target error) bool { return target == vde.ErrHangup }

// noCopy makes vet report copies of a struct that holds it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// A Switch is a VDE switch. All methods may be called from any goroutine.
type Switch struct {
	_ noCopy

	cfg    Config
	cfgErr error // why nothing can be plugged in

	hub     atomic.Bool
	table   table
	pools   [4]*pool.Pool // of buffers for frames, by size; see poolFor
	batches sync.Pool     // of *batch

	largeBuffer int // what a buffer of pools[2] holds

	// forwarding is held for reading while counters of several ports change
	// together, never while waiting for room. Stats takes it for writing and so
	// sees each batch whole.
	forwarding sync.RWMutex

	mu        sync.Mutex
	closed    bool               // guarded by mu
	ports     map[int]*port      // guarded by mu; those that have ever been used or configured
	lastCable uint64             // guarded by mu
	listeners map[*Listener]bool // guarded by mu

	// active are the ports that have a cable, by number. The slice is replaced,
	// never changed, with mu held.
	active atomic.Pointer[[]*port]

	taps  *port // what all taps have in common; no real port
	serve serveCounters
}

// New returns a switch that nothing is plugged into. It needs no Close until
// something is. An impossible cfg is reported by Attach, Listen and Serve.
func New(cfg Config) *Switch {
	cfg, err := cfg.normalize()
	sw := &Switch{
		cfg:       cfg,
		cfgErr:    err,
		ports:     make(map[int]*port),
		listeners: make(map[*Listener]bool),
	}
	sw.active.Store(new([]*port))
	if err != nil {
		return sw
	}
	sw.hub.Store(cfg.Hub)
	sw.table.init(cfg.Age, cfg.MaxStations)
	sw.makePools()
	sw.taps = newPort(sw, tapPort)
	sw.taps.configure(PortConfig{VLAN: NoVLAN, Policy: DropNewest, Queue: DefaultQueue})
	for n, pc := range cfg.Ports {
		if len(pc.Stations) > 0 {
			sw.port(n) // its stations are in the table from the beginning
		}
	}
	return sw
}

// port returns the record of port n, which exists; mu is held, or sw not yet
// shared.
func (sw *Switch) port(n int) *port {
	p := sw.ports[n]
	if p == nil {
		pc, ok := sw.cfg.Ports[n]
		if !ok {
			pc = sw.cfg.Port
		}
		p = newPort(sw, n)
		p.configure(pc)
		sw.ports[n] = p
	}
	return p
}

// check returns why sw cannot be used any more; mu is held.
func (sw *Switch) check() error {
	if sw.closed {
		return ErrClosed
	}
	return sw.cfgErr
}

// anyPort lets the switch choose among the ports from first to last.
const anyPort = -2

// plug makes c a cable of port n, or of the lowest free one from first to last
// if n is anyPort. A port that has a cable takes another one only from the same
// user.
func (sw *Switch) plug(c *cable, n, first, last int) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	var p *port
	switch {
	case n == anyPort:
		if n = sw.freePort(first, last); n < 0 {
			return fmt.Errorf("%w from %d to %d", ErrFull, first, last)
		}
		p = sw.port(n)
	case n < 0 || n > sw.cfg.NumPorts:
		return fmt.Errorf("%w: %d, there are 0 to %d", ErrPort, n, sw.cfg.NumPorts)
	default:
		p = sw.port(n)
		if cs := *p.cables.Load(); len(cs) > 0 && cs[0].info.UID != c.info.UID {
			return fmt.Errorf("%w: %d is in use by user %d", ErrPort, n, cs[0].info.UID)
		}
	}
	sw.lastCable++
	c.info.ID = sw.lastCable
	c.port = p
	if err := c.out.plugged(c); err != nil {
		return err
	}
	cables := append(slices.Clone(*p.cables.Load()), c)
	p.cables.Store(&cables)
	if len(cables) == 1 {
		sw.table.plug(p, true)
		active := *sw.active.Load()
		i, _ := slices.BinarySearchFunc(active, n, func(p *port, n int) int { return p.num - n })
		active = slices.Insert(slices.Clone(active), i, p)
		sw.active.Store(&active)
	}
	sw.cfg.Logger.Info("plugged in", c.logAttrs()...)
	return nil
}

// freePort returns the lowest port without a cable, or -1; mu is held.
func (sw *Switch) freePort(first, last int) int {
	n := first
	for _, p := range *sw.active.Load() { // by number
		if p.num == n {
			n++
		}
	}
	if n > last {
		return -1
	}
	return n
}

// unplug removes c from its port and reports whether it was there.
func (sw *Switch) unplug(c *cable, cause error) bool {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	p := c.port
	if p == nil {
		return false
	}
	cables := slices.Clone(*p.cables.Load())
	i := slices.Index(cables, c)
	if i < 0 {
		return false
	}
	cables = slices.Delete(cables, i, i+1)
	p.cables.Store(&cables)
	switch {
	case p == sw.taps:
		sw.removeTap(c)
	case len(cables) == 0:
		active := slices.Clone(*sw.active.Load())
		i := slices.Index(active, p)
		active = slices.Delete(active, i, i+1)
		sw.active.Store(&active)
		sw.table.plug(p, false)
	}
	sw.cfg.Logger.Info("unplugged", append(c.logAttrs(), "cause", cause)...)
	return true
}

// SetHub switches hub mode on or off. A hub sends every frame unchanged to all
// other ports, port 0 excepted, and neither learns nor knows VLANs.
func (sw *Switch) SetHub(hub bool) { sw.hub.Store(hub) }

// Hub reports whether the switch is in hub mode.
func (sw *Switch) Hub() bool { return sw.hub.Load() }

// SetPort configures port n, whether or not anything is plugged in. Stations
// that were learned stay as far as pc allows.
func (sw *Switch) SetPort(n int, pc PortConfig) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	if n < 0 || n > sw.cfg.NumPorts {
		return fmt.Errorf("%w: %d, there are 0 to %d", ErrPort, n, sw.cfg.NumPorts)
	}
	pc, err := pc.normalize()
	if err != nil {
		return err
	}
	sw.port(n).configure(pc)
	return nil
}

// Port returns the configuration of port n.
func (sw *Switch) Port(n int) (PortConfig, error) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.cfgErr != nil {
		return PortConfig{}, sw.cfgErr
	}
	if n < 0 || n > sw.cfg.NumPorts {
		return PortConfig{}, fmt.Errorf("%w: %d, there are 0 to %d", ErrPort, n, sw.cfg.NumPorts)
	}
	pc := sw.port(n).conf.Load().PortConfig
	pc.Tagged, pc.Stations = slices.Clone(pc.Tagged), slices.Clone(pc.Stations)
	return pc, nil
}

// Disconnect hangs up on cable id of port n, or on all its cables if id is 0.
// The other end sees what it would see if the switch went away.
func (sw *Switch) Disconnect(n int, id uint64) error {
	sw.mu.Lock()
	var cables []*cable
	if p := sw.ports[n]; p != nil {
		for _, c := range *p.cables.Load() {
			if id == 0 || c.info.ID == id {
				cables = append(cables, c)
			}
		}
	}
	sw.mu.Unlock()
	if len(cables) == 0 {
		return fmt.Errorf("%w: nothing is plugged into port %d under this number", ErrPort, n)
	}
	for _, c := range cables {
		c.hangup(vde.ErrHangup)
	}
	return nil
}

// Close ends all cables and all serving, and removes the files that serving
// made. The contexts of in-process ports are canceled with [ErrClosed]; their
// owners still have to close them. Socket clients see the end of their control
// stream. Calls after the first wait for the same and return nil.
func (sw *Switch) Close() error {
	sw.mu.Lock()
	sw.closed = true
	listeners := make([]*Listener, 0, len(sw.listeners))
	for l := range sw.listeners {
		listeners = append(listeners, l)
	}
	sw.mu.Unlock()
	sw.table.stop()
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.end(ErrClosed))
	}
	if sw.taps != nil {
		for _, p := range append(slices.Clone(*sw.active.Load()), sw.taps) {
			for _, c := range *p.cables.Load() {
				c.hangup(ErrClosed)
			}
		}
	}
	return err
}
