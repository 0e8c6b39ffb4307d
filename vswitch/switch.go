// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

// Errors of a switch.
var (
	// ErrClosed is the reason of every end after [Switch.Close]: it is returned
	// by the methods of a closed switch and is the cause of the contexts of its
	// in-process ports, where it matches [vde.ErrHangup] too.
	ErrClosed error = &sentinel{"switch closed", vde.ErrHangup}

	// ErrNoPort is in errors about a port that does not exist, or that may not be
	// used. It matches [vde.ErrPortRefused].
	ErrNoPort error = &sentinel{"port not available", vde.ErrPortRefused}

	// ErrNoFreePort is in errors about the lack of a free port. It matches
	// [vde.ErrSwitchFull].
	ErrNoFreePort error = &sentinel{"no free port", vde.ErrSwitchFull}

	// ErrPortInUse is in errors about a change that a port with an endpoint does not allow.
	ErrPortInUse = errors.New("port in use")

	// ErrInUse is returned by [Switch.Listen] and [Switch.Serve] for a directory
	// in which another switch answers. It matches [syscall.EADDRINUSE], as the errors
	// of drivers do whose address another program has.
	ErrInUse error = &sentinel{"another switch serves this directory", syscall.EADDRINUSE}
)

// A sentinel is an error that matches the one with the same meaning in package
// vde, or in package syscall, too.
type sentinel struct {
	text string
	as   error
}

func (e *sentinel) Error() string        { return e.text }
func (e *sentinel) Is(target error) bool { return target == e.as }

// noCopy makes vet report copies of a struct that holds it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// A Switch is a VDE switch. All methods may be called from any goroutine.
type Switch struct {
	_ noCopy

	cfg    Config       // NumPorts, DefaultPort, Ports and AgeingTime are guarded by mu
	cfgErr error        // why nothing can be attached
	logger *slog.Logger // Config.Logger as it was given; that of cfg has the records queued

	// countersInUse says which of the two sets of counters of each port is added to.
	// Written with forwarding held for writing. It is beside what hardly ever changes,
	// because every batch reads it.
	countersInUse atomic.Uint32

	hub        atomic.Bool
	fdb        *fdb.Table[*port] // nil if cfgErr is not
	buffers    *bufferPools      // nil if cfgErr is not
	forwarders sync.Pool         // of *forwarder

	// forwarding is held for reading while counters of several ports change
	// together, never while waiting for room. Stats takes it for writing, for a
	// moment, and so sees each batch whole.
	forwarding sync.RWMutex

	statsMu sync.Mutex // held by Stats

	mu           sync.Mutex
	closed       bool               // guarded by mu
	ports        map[int]*port      // guarded by mu; those that have ever been used or configured
	lastEndpoint uint64             // guarded by mu
	listeners    map[*Listener]bool // guarded by mu

	// active are the ports that have an endpoint. The set is replaced with mu held.
	active atomic.Pointer[portSet]

	running sync.WaitGroup // goroutines of links; added to with mu held and closed false

	logs     logQueue
	events   eventLog
	monitors *port // what all monitor sessions have in common; no real port
	serve    serveCounters

	loops *loopGuard // nil if cfgErr is not

	sharedMemory atomic.Int64 // bytes of rings of clients; see Config.MaxSharedMemory
}

// New returns a switch without endpoints. It needs no Close until it has one. An impossible cfg is reported by Attach, Listen and Serve.
func New(cfg Config) *Switch {
	cfg, err := cfg.normalize()
	if err != nil {
		err = fmt.Errorf("invalid configuration: %w", err)
	}
	sw := &Switch{
		cfg:       cfg,
		cfgErr:    err,
		logger:    cfg.Logger,
		ports:     make(map[int]*port),
		listeners: make(map[*Listener]bool),
	}
	if cfg.Logger != nil {
		sw.cfg.Logger = sw.logs.logger(cfg.Logger)
	} else {
		sw.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	sw.active.Store(new(portSet))
	sw.events.init(sw)
	if err != nil {
		return sw
	}
	sw.hub.Store(cfg.Hub)
	sw.fdb = fdb.New[*port](cfg.AgeingTime, cfg.MaxFDBEntries)
	sw.fdb.Observe(sw.events.fdbChanged)
	sw.buffers = newBufferPools(cfg.MaxFrameSize)
	sw.loops = newLoopGuard(sw, cfg.LoopInterval)
	sw.monitors = newPort(sw, monitorPort)
	sw.monitors.configure(PortConfig{VLAN: NoVLAN, Policy: TailDrop, Queue: DefaultQueue})
	for n, pc := range cfg.Ports {
		if len(pc.Static) > 0 {
			sw.port(n) // its entries are in the FDB from the beginning
		}
	}
	return sw
}

// port returns the record of port n, which exists; mu is held, or sw not yet
// shared.
func (sw *Switch) port(n int) *port {
	p := sw.ports[n]
	if p == nil {
		pc := sw.portConfig(n)
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

// addEndpoint makes c an endpoint of port n, or of the lowest free one from first to
// last if n is anyPort, with 0 for the highest port there is. A port that has an endpoint takes another one only from
// the same user.
func (sw *Switch) addEndpoint(c *endpoint, n, first, last int) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	if last == 0 {
		last = sw.cfg.NumPorts
	}
	var p *port
	switch {
	case n == anyPort:
		if n = sw.freePort(first, last); n < 0 {
			return fmt.Errorf("%w from %d to %d", ErrNoFreePort, first, last)
		}
		p = sw.port(n)
	default:
		if err := sw.checkPort(n); err != nil {
			return err
		}
		p = sw.port(n)
		if cs := *p.endpoints.Load(); len(cs) > 0 && cs[0].info.UID != c.info.UID {
			return fmt.Errorf("%w: %d is in use by user %d", ErrNoPort, n, cs[0].info.UID)
		}
	}
	sw.lastEndpoint++
	c.info.ID = sw.lastEndpoint
	c.port = p
	if err := c.egress.attached(c); err != nil {
		return err
	}
	c.impaired.index = len(*p.endpoints.Load())
	c.setImpair(p.conf.Load().Impair)
	endpoints := append(slices.Clone(*p.endpoints.Load()), c)
	p.endpoints.Store(&endpoints)
	if len(endpoints) == 1 {
		sw.fdb.SetActive(&p.fdb, true)
		sw.active.Store(sw.active.Load().with(p))
	}
	sw.cfg.Logger.Info("attached", c.logAttrs()...)
	if len(endpoints) == 1 {
		sw.events.add(Event{Kind: EventPortUp, Port: p.num})
	}
	sw.events.add(c.event(EventAttached, nil))
	sw.loops.update(p)
	return nil
}

// freePort returns the lowest port without an endpoint that is not reserved, or -1; mu
// is held.
func (sw *Switch) freePort(first, last int) int {
	active := sw.active.Load()
	for n := active.free(first); n <= last; n = active.free(n + 1) {
		if !sw.reserved(n) {
			return n
		}
	}
	return -1
}

// reserved reports whether port n is given only to endpoints that ask for it; mu is held.
func (sw *Switch) reserved(n int) bool {
	if p := sw.ports[n]; p != nil {
		return p.conf.Load().Reserved
	}
	if pc, ok := sw.cfg.Ports[n]; ok {
		return pc.Reserved
	}
	return sw.cfg.defaultOf(n).Reserved
}

// removeEndpoint removes c from its port and reports whether it was there.
func (sw *Switch) removeEndpoint(c *endpoint, cause error) bool {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	p := c.port
	if p == nil {
		return false
	}
	endpoints := slices.Clone(*p.endpoints.Load())
	i := slices.Index(endpoints, c)
	if i < 0 {
		return false
	}
	endpoints = slices.Delete(endpoints, i, i+1)
	p.endpoints.Store(&endpoints)
	c.stopLines()
	switch {
	case p == sw.monitors:
		sw.removeMonitor(c)
	case len(endpoints) == 0:
		sw.active.Store(sw.active.Load().without(p))
		sw.fdb.SetActive(&p.fdb, false)
	}
	sw.cfg.Logger.Info("detached", append(c.logAttrs(), "cause", cause)...)
	if p == sw.monitors {
		return true
	}
	sw.events.add(c.event(EventDetached, cause))
	if len(endpoints) == 0 {
		sw.events.add(Event{Kind: EventPortDown, Port: p.num})
	}
	sw.loops.update(p)
	return true
}

// Disconnect hangs up on endpoint id of port n, or on all its endpoints if id
// is 0. The other side sees what it would see if the switch went away.
func (sw *Switch) Disconnect(n int, id uint64) error {
	sw.mu.Lock()
	var endpoints []*endpoint
	if p := sw.ports[n]; p != nil {
		for _, c := range *p.endpoints.Load() {
			if id == 0 || c.info.ID == id {
				endpoints = append(endpoints, c)
			}
		}
	}
	sw.mu.Unlock()
	if len(endpoints) == 0 {
		return fmt.Errorf("%w: port %d has no such endpoint", ErrNoPort, n)
	}
	for _, c := range endpoints {
		c.hangup(vde.ErrHangup)
	}
	return nil
}

// Close ends all endpoints and all serving, and removes the files that serving
// made. The contexts of in-process ports are canceled with [ErrClosed]; their
// owners still have to close them. Socket clients see the end of their control
// stream. Calls after the first wait for the same and return nil.
func (sw *Switch) Close() error {
	sw.mu.Lock()
	if !sw.closed && sw.loops != nil {
		close(sw.loops.stop)
	}
	sw.closed = true
	listeners := make([]*Listener, 0, len(sw.listeners))
	for l := range sw.listeners {
		listeners = append(listeners, l)
	}
	sw.mu.Unlock()
	if sw.fdb != nil {
		sw.fdb.Stop()
	}
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.end(ErrClosed))
	}
	if sw.monitors != nil {
		for _, p := range append(slices.Collect(sw.active.Load().all), sw.monitors) {
			for _, c := range *p.endpoints.Load() {
				c.hangup(ErrClosed)
			}
		}
	}
	sw.running.Wait()
	sw.events.end()
	sw.logs.flush()
	return err
}
