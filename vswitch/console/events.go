// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/vswitch"
)

// An eventKind is a path of debug/add.
type eventKind int

const (
	hashLearned eventKind = iota
	hashForgotten
	fstpStatus
	fstpRoot
	fstpActive
	fstpInactive
	portCame
	portWent
	portDescribed
	endpointCame
	endpointWent
	numEventKinds
)

// eventKinds is the table of events, in the order of vde_switch.
var eventKinds = [numEventKinds]struct {
	path string
	tag  int
	help string
}{
	hashLearned:   {"hash/+", 0o11, "hash: new element"},
	hashForgotten: {"hash/-", 0o12, "hash: discarded element"},
	fstpStatus:    {"fstp/status", 0o44, "fstp: status change"},
	fstpRoot:      {"fstp/root", 0o45, "fstp: rootswitch/port change"},
	fstpActive:    {"fstp/+", 0o41, "fstp: port becomes active"},
	fstpInactive:  {"fstp/-", 0o42, "fstp: port becomes inactive"},
	portCame:      {"port/+", 0o21, "new port"},
	portWent:      {"port/-", 0o22, "closed port"},
	portDescribed: {"port/descr", 0o23, "set port description"},
	endpointCame:  {"port/ep/+", 0o31, "new endpoint"},
	endpointWent:  {"port/ep/-", 0o32, "closed endpoint"},
}

// Sets of eventKinds.
const (
	hashEvents = 1<<hashLearned | 1<<hashForgotten
	portEvents = 1<<portCame | 1<<portWent | 1<<portDescribed | 1<<endpointCame | 1<<endpointWent
)

func (k eventKind) line(text string) string {
	return fmt.Sprintf("3%03o %s %s\n", eventKinds[k].tag, eventKinds[k].path, text)
}

// eventQueue is how many events wait for a session. Those of the switch wait in the
// switch beyond that, and are lost there when it is too long.
const eventQueue = 256

// subscriptions are what a session has asked for by debug/add.
type subscriptions struct {
	kinds   atomic.Uint32 // a set of eventKind
	queue   chan string
	lost    atomic.Uint64 // of the console's own events
	running sync.WaitGroup

	mu      sync.Mutex
	sources map[uint32]context.CancelFunc // guarded by mu; of hashEvents and portEvents
	writer  bool                          // guarded by mu; the goroutine that writes was started
	known   map[int]bool                  // guarded by mu; ports that exist
}

func (e *subscriptions) init() { e.queue = make(chan string, eventQueue) }

func (e *subscriptions) wait() { e.running.Wait() }

// know notes that port n exists, and reports whether that is new.
func (e *subscriptions) know(n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil || e.known[n] {
		return false
	}
	e.known[n] = true
	return true
}

func (e *subscriptions) forget(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.known, n)
}

func (e *subscriptions) wants(k eventKind) bool { return e.kinds.Load()&(1<<k) != 0 }

// tell queues an event of the console itself. It never waits.
func (c *session) tell(k eventKind, text string) {
	if !c.events.wants(k) {
		return
	}
	select {
	case c.events.queue <- k.line(text):
	default:
		c.events.lost.Add(1)
	}
}

// subscribe makes kinds the events that c gets. x.srv.mu is held.
func (c *session) subscribe(kinds uint32) {
	e := &c.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.writer && kinds != 0 {
		e.writer = true
		e.running.Go(c.writeEvents)
	}
	if e.sources == nil {
		e.sources = make(map[uint32]context.CancelFunc)
	}
	if e.known == nil && kinds&portEvents != 0 {
		e.known = make(map[int]bool)
		for _, p := range c.srv.ports() {
			e.known[p.number] = true
		}
	}
	e.kinds.Store(kinds)
	c.follow(hashEvents, vswitch.EventLearned, vswitch.EventMoved, vswitch.EventAged, vswitch.EventForgotten)
	c.follow(portEvents, vswitch.EventPortUp, vswitch.EventPortDown, vswitch.EventAttached, vswitch.EventDetached)
}

// follow begins or ends to receive events of the switch, as far as group is asked for;
// events.mu is held. Forwarding has less to do if nobody asks for those of the FDB.
func (c *session) follow(group uint32, kinds ...vswitch.EventKind) {
	e := &c.events
	stop, follows := e.sources[group]
	switch wanted := e.kinds.Load()&group != 0; {
	case wanted == follows:
	case follows:
		stop()
		delete(e.sources, group)
	default:
		ctx, cancel := context.WithCancel(c.ctx)
		e.sources[group] = cancel
		sub := c.srv.sw.Subscribe(kinds...)
		e.running.Go(func() {
			defer sub.Close()
			c.pump(ctx, sub)
		})
	}
}

// pump queues the events of sub until ctx ends.
func (c *session) pump(ctx context.Context, sub *vswitch.Subscription) {
	for {
		ev, err := sub.Next(ctx)
		if err != nil {
			return
		}
		for _, line := range c.lines(ev) {
			select {
			case c.events.queue <- line:
			case <-ctx.Done():
				return
			}
		}
	}
}

// lines returns what c gets of an event.
func (c *session) lines(ev vswitch.Event) (lines []string) {
	add := func(k eventKind, format string, args ...any) {
		if c.events.wants(k) {
			lines = append(lines, k.line(fmt.Sprintf(format, args...)))
		}
	}
	hash := func(k eventKind, mac frame.MAC, port int) {
		add(k, "%v VLAN %02x:%02x Port %d", mac, ev.VLAN&0xff, ev.VLAN>>8, port)
	}
	switch ev.Kind {
	case vswitch.EventLearned:
		hash(hashLearned, ev.MAC, ev.Port)
	case vswitch.EventAged, vswitch.EventForgotten:
		hash(hashForgotten, ev.MAC, ev.Port)
	case vswitch.EventMoved:
		hash(hashForgotten, ev.MAC, ev.OtherPort)
		hash(hashLearned, ev.MAC, ev.Port)
	case vswitch.EventPortUp:
		if c.events.know(ev.Port) {
			add(portCame, "%02d", ev.Port)
		}
	case vswitch.EventPortDown:
		add(portWent, "%02d", ev.Port)
	case vswitch.EventAttached:
		add(endpointCame, "Port %02d FD %2d", ev.Port, ev.Endpoint)
		add(portDescribed, "Port %02d FD %2d -> \"%s\"", ev.Port, ev.Endpoint, wire.SanitizeDescription(ev.Description))
	case vswitch.EventDetached:
		add(endpointWent, "Port %02d FD %2d", ev.Port, ev.Endpoint)
	case vswitch.EventLost:
		lines = append(lines, lostLine(ev.Count))
	}
	return lines
}

// lostLine is what a session gets in place of n events.
func lostLine(n uint64) string { return fmt.Sprintf("3000 debug/lost %d\n", n) }

// writeEvents writes the events of c until it ends.
func (c *session) writeEvents() {
	for {
		var text strings.Builder
		select {
		case line := <-c.events.queue:
			text.WriteString(line)
		case <-c.ctx.Done():
			return
		}
		for more := true; more && text.Len() < 4096; {
			select {
			case line := <-c.events.queue:
				text.WriteString(line)
			default:
				more = false
			}
		}
		if n := c.events.lost.Swap(0); n > 0 {
			text.WriteString(lostLine(n))
		}
		if c.lock() != nil {
			return
		}
		err := c.write([]byte(text.String()))
		c.unlock()
		if err != nil {
			return
		}
	}
}

var errNoKind = errors.New("no event has such a path")

// matching returns the kinds whose path begins with prefix.
func matching(prefix string) (kinds uint32, err error) {
	for k, e := range eventKinds {
		if strings.HasPrefix(e.path, prefix) {
			kinds |= 1 << k
		}
	}
	if kinds == 0 {
		return 0, errNoKind
	}
	return kinds, nil
}

func (x *executor) debugList(arg string) Status {
	kinds, err := matching(arg)
	x.printf("CATEGORY               TAG STATUS HELP\n------------           --- ------ ----\n")
	if err != nil {
		return NoEntry
	}
	for k, e := range eventKinds {
		if kinds&(1<<k) == 0 {
			continue
		}
		state := "OFF"
		if x.sess.events.wants(eventKind(k)) {
			state = "ON"
		}
		x.printf("%-22s %03o %-6s %s\n", e.path, e.tag, state, e.help)
	}
	return OK
}

func (x *executor) debugAdd(arg string) Status {
	return x.debug(arg, Exists, func(has, kinds uint32) uint32 { return has | kinds })
}

func (x *executor) debugDel(arg string) Status {
	return x.debug(arg, NoEntry, func(has, kinds uint32) uint32 { return has &^ kinds })
}

// debug changes the events that the session gets; same is the status if nothing changes.
func (x *executor) debug(arg string, same Status, change func(has, kinds uint32) uint32) Status {
	kinds, err := matching(arg)
	if err != nil {
		return BadValue
	}
	x.srv.mu.Lock()
	defer x.srv.mu.Unlock()
	has := x.sess.events.kinds.Load()
	now := change(has, kinds)
	if now == has {
		return same
	}
	if x.sess.in != nil { // not of Run, which nobody reads
		x.sess.subscribe(now)
	}
	return OK
}
