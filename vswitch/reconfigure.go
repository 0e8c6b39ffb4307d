// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Config returns the configuration as it is now: that of [New] with its defaults filled in,
// and with what has been changed since.
func (sw *Switch) Config() Config {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	c := sw.cfg
	c.Hub, c.Logger = sw.hub.Load(), sw.logger
	c.DefaultPort = c.DefaultPort.clone()
	c.Ports = make(map[int]PortConfig, len(sw.cfg.Ports))
	for n, pc := range sw.cfg.Ports {
		if n <= c.NumPorts {
			c.Ports[n] = pc.clone()
		}
	}
	c.PortGroups = maps.Clone(c.PortGroups)
	return c
}

// checkPort returns an error if there is no port n; mu is held.
func (sw *Switch) checkPort(n int) error {
	if n < 0 || n > sw.cfg.NumPorts {
		return fmt.Errorf("%w: %d, there are 0 to %d", ErrNoPort, n, sw.cfg.NumPorts)
	}
	return nil
}

// SetHub switches hub mode on or off. A hub sends every frame unchanged to all
// other ports, port 0 excepted, and neither learns nor knows VLANs.
func (sw *Switch) SetHub(hub bool) {
	if sw.hub.Swap(hub) != hub {
		sw.events.add(Event{Kind: EventConfigured, Port: AllPorts})
	}
}

// Hub reports whether the switch is in hub mode.
func (sw *Switch) Hub() bool { return sw.hub.Load() }

// SetNumPorts makes n the highest port number. It fails with [ErrPortInUse] if a higher
// port has an endpoint, or belongs to a port group.
func (sw *Switch) SetNumPorts(n int) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	if n < 1 || n > maxNumPorts {
		return fmt.Errorf("the number of ports is %d, want 1 to %d", n, maxNumPorts)
	}
	for name, g := range sw.cfg.PortGroups {
		if g.Last > n {
			return fmt.Errorf("%w: the port group %s has ports up to %d", ErrPortInUse, name, g.Last)
		}
	}
	if last := sw.active.Load().last(); last > n {
		return fmt.Errorf("%w: %d; disconnect it first", ErrPortInUse, last)
	}
	sw.cfg.NumPorts = n
	sw.events.add(Event{Kind: EventConfigured, Port: AllPorts})
	return nil
}

// SetAgeingTime changes how long an FDB entry is kept after the last frame from its
// address, also of entries that are there; see [Config].AgeingTime.
func (sw *Switch) SetAgeingTime(d time.Duration) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	setDefault(&d, DefaultAgeingTime)
	sw.cfg.AgeingTime = d
	sw.fdb.SetAgeing(d)
	sw.events.add(Event{Kind: EventConfigured, Port: AllPorts})
	return nil
}

// Port returns the configuration of port n.
func (sw *Switch) Port(n int) (PortConfig, error) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.cfgErr != nil {
		return PortConfig{}, sw.cfgErr
	}
	if err := sw.checkPort(n); err != nil {
		return PortConfig{}, err
	}
	return sw.port(n).conf.Load().PortConfig.clone(), nil
}

// SetPort configures port n, whether or not it has an endpoint. FDB entries
// that were learned stay as far as pc allows.
func (sw *Switch) SetPort(n int, pc PortConfig) error {
	_, err := sw.setPort(n, nil, pc)
	return err
}

// CompareAndSetPort is SetPort if port n still has the configuration old, as [Switch.Port]
// or [Switch.Ports] returned it, and reports whether it had. Nothing can change the port
// between the comparison and the change, so no change that others make is undone.
func (sw *Switch) CompareAndSetPort(n int, old, pc PortConfig) (set bool, err error) {
	return sw.setPort(n, &old, pc)
}

// setPort configures port n, if old is nil or what is configured.
func (sw *Switch) setPort(n int, old *PortConfig, pc PortConfig) (set bool, err error) {
	if pc, err = pc.normalize(); err != nil {
		return false, fmt.Errorf("invalid configuration of port %d: %w", n, err)
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return false, err
	}
	if err := sw.checkPort(n); err != nil {
		return false, err
	}
	if old != nil && !sw.portConfig(n).equal(*old) {
		return false, nil
	}
	pc = pc.clone()
	sw.cfg.Ports[n] = pc
	sw.configure(sw.port(n), pc)
	return true, nil
}

// portConfig returns the configuration of port n, which shares memory with that of sw; mu
// is held.
func (sw *Switch) portConfig(n int) PortConfig {
	if p := sw.ports[n]; p != nil {
		return p.conf.Load().PortConfig
	}
	if pc, own := sw.cfg.Ports[n]; own {
		return pc
	}
	return sw.cfg.defaultOf(n)
}

// ResetPort gives port n the configuration of a port that has none of its own: that of its
// port group, or [Config].DefaultPort.
func (sw *Switch) ResetPort(n int) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	if err := sw.checkPort(n); err != nil {
		return err
	}
	delete(sw.cfg.Ports, n)
	sw.configure(sw.port(n), sw.cfg.defaultOf(n))
	return nil
}

// SetDefaultPort configures the ports that have no configuration of their own, and are in
// no port group, as SetPort does.
func (sw *Switch) SetDefaultPort(pc PortConfig) error {
	pc, err := pc.normalizeDefault()
	if err != nil {
		return fmt.Errorf("invalid configuration: %w", err)
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	sw.cfg.DefaultPort = pc.clone()
	sw.events.add(Event{Kind: EventConfigured, Port: AllPorts})
	for n, p := range sw.ports {
		if _, own := sw.cfg.Ports[n]; !own && sw.cfg.groupOf(n) == "" {
			sw.configure(p, sw.cfg.DefaultPort)
		}
	}
	return nil
}

// configure makes pc, which is normalized, the configuration of p; mu is held.
func (sw *Switch) configure(p *port, pc PortConfig) {
	p.configure(pc)
	for _, e := range *p.endpoints.Load() {
		e.setImpair(pc.Impair)
	}
	sw.loops.update(p)
	sw.events.add(Event{Kind: EventConfigured, Port: p.num})
}

// groupOf returns the name of the port group that port n is in, or "".
func (c *Config) groupOf(n int) string {
	for name, g := range c.PortGroups {
		if g.First <= n && n <= g.Last {
			return name
		}
	}
	return ""
}

// defaultOf returns the configuration of port n if it has none of its own.
func (c *Config) defaultOf(n int) PortConfig {
	if name := c.groupOf(n); name != "" {
		return c.PortGroups[name].DefaultPort
	}
	return c.DefaultPort
}

// clone returns a copy of c that shares no memory with it.
func (c PortConfig) clone() PortConfig {
	c.Tagged, c.Static = slices.Clone(c.Tagged), slices.Clone(c.Static)
	return c
}

// equal reports whether c and d, which are normalized, configure a port in the same way.
func (c PortConfig) equal(d PortConfig) bool {
	if !slices.Equal(c.Tagged, d.Tagged) || !slices.Equal(c.Static, d.Static) {
		return false
	}
	c.Tagged, c.Static, d.Tagged, d.Static = nil, nil, nil, nil // nil is equal to empty
	return reflect.DeepEqual(c, d)
}
