// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

// classifyHub is classify in hub mode.
func (c *classifier) classifyHub(f *forwarder) {
	one := c.single(f)
	for i := range c.b.items[:c.b.n] {
		it := &c.b.items[i]
		switch {
		case !c.checkSize(it) || c.guarded && !c.checkLoop(it, true):
		case c.conf.StormLimit > 0 && !c.in.storm.take(c.now):
			it.cause = inStorm
		case len(one) > 0:
			it.verdict = verdictPort
			it.to = one[c.in.turn.Add(1)%uint64(len(one))]
		default:
			it.verdict = verdictHub
		}
	}
	clear(one)
}

// single returns the ports of which each frame goes to one, in turn, in hub mode;
// none if the frames go to all. The result is in memory of f.
func (c *classifier) single(f *forwarder) []*port {
	if !c.conf.RoundRobin && !c.conf.Isolated {
		return nil
	}
	ports := f.hubPorts[:0]
	for p := range c.sw.active.Load().all {
		if skips(c.in, c.conf, p, verdictHub) {
			continue
		}
		ports = append(ports, p)
		if len(ports) > 1 && !c.conf.RoundRobin {
			clear(ports)
			return nil
		}
	}
	f.hubPorts = ports
	return ports
}
