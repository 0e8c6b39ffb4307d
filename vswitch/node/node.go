// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
)

// A Kind says where the frames of a node go. It is the scheme of the node's locators.
type Kind string

// Kinds of nodes.
const (
	Switch  Kind = "switch"
	Hub     Kind = "hub"
	Multi   Kind = "multi"
	Bonding Kind = "bonding"
)

// hostPort is the port of the program that has opened the node.
const hostPort = 1

// A Driver opens nodes of one kind.
type Driver struct {
	Kind Kind

	// Config is the configuration of the switches that the nodes are. What the
	// locator and the settings say wins, and what makes the kind: Hub, KeepTags, Admit,
	// and of the ports Isolated and RoundRobin.
	Config vswitch.Config
}

var _ link.Driver = Driver{}

// Drivers returns the drivers of all kinds by scheme, for vde.WithDrivers.
func Drivers() link.Mux {
	m := make(link.Mux)
	for _, k := range []Kind{Switch, Hub, Multi, Bonding} {
		m[string(k)] = Driver{Kind: k}
	}
	return m
}

// Open implements [link.Driver]: it starts the node, and returns the host's link. The
// error matches [vswitch.ErrInUse] if another switch answers in the directory,
// [syscall.EINVAL] for a malformed locator, or is one of the file system.
//
// Of the settings, SocketMode and SocketGroup are for the sockets that the node makes.
func (d Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	a, err := parseAddress(l)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg, err := d.config(a, s)
	if err != nil {
		return nil, err
	}
	dir := cmp.Or(a.dir, defaultDir())
	found, err := findLeftovers(dir, a.dir == "")
	if err != nil {
		return nil, err
	}
	sw := vswitch.New(cfg)
	listener, err := sw.Listen(dir)
	if err != nil {
		return nil, errors.Join(err, sw.Close())
	}
	found.removeSockets()
	h, err := sw.OpenLink(link.Settings{Description: s.Description, Port: hostPort})
	if err != nil {
		return nil, errors.Join(err, sw.Close())
	}
	n := &host{Link: h, sw: sw, address: l.Scheme + "://" + vnl.Quote(listener.Dir()), leftovers: found}
	n.serving.Go(func() {
		// It ends with the switch.
		_ = listener.Serve(context.WithoutCancel(ctx))
	})
	return n, nil
}

// config returns the configuration of the node's switch.
func (d Driver) config(a address, s link.Settings) (vswitch.Config, error) {
	cfg := d.Config
	cfg.Name = cmp.Or(cfg.Name, string(d.Kind))
	cfg.Admit = anyPort
	cfg.Mode = cmp.Or(a.mode, s.SocketMode&0o666, cfg.Mode)
	cfg.DirMode = cmp.Or(a.dirMode, cfg.DirMode)
	cfg.Group = cmp.Or(a.group, s.SocketGroup, cfg.Group)
	cfg.SharedMemory = cmp.Or(s.SharedMemory, cfg.SharedMemory)
	cfg.NoPolling = cfg.NoPolling || s.NoPolling
	cfg.WriteBuffer = cmp.Or(s.WriteBuffer, cfg.WriteBuffer)
	if s.MaxFrameSize != 0 {
		cfg.MaxFrameSize = min(max(s.MaxFrameSize, frame.HeaderLen+frame.TagLen), vswitch.MaxFrameSizeLimit)
	}
	cfg.AgeingTime = a.expireTime
	cfg.Hub = d.Kind != Switch || a.hashSize == 0
	if a.hashSize > 0 {
		cfg.MaxFDBEntries = a.hashSize
	}
	hostConfig, ok := cfg.Ports[hostPort]
	if !ok {
		hostConfig = cfg.DefaultPort
	}
	switch d.Kind {
	case Switch, Hub:
		cfg.KeepTags = true
	case Multi, Bonding:
		cfg.DefaultPort.Isolated = true
		hostConfig.Isolated, hostConfig.RoundRobin = false, d.Kind == Bonding
	default:
		return cfg, fmt.Errorf("there is no node of kind %q", d.Kind)
	}
	cfg.Ports = maps.Clone(cfg.Ports)
	if cfg.Ports == nil {
		cfg.Ports = make(map[int]vswitch.PortConfig)
	}
	cfg.Ports[hostPort] = hostConfig
	return cfg, nil
}

// anyPort gives each client a port of its own, whichever it asks for: the nodes of
// libvdeplug have no numbers.
func anyPort(vswitch.Peer) (int, error) { return 0, nil }

// A host is the link of the program that has opened a node.
type host struct {
	link.Link
	sw        *vswitch.Switch
	address   string
	leftovers leftovers

	serving sync.WaitGroup
	close   sync.Once
}

// SwitchOf returns the switch behind a link that a Driver has opened, for its counters,
// or nil for any other link.
func SwitchOf(l link.Link) *vswitch.Switch {
	if h, ok := l.(*host); ok {
		return h.sw
	}
	return nil
}

// Caps implements [link.Link].
func (h *host) Caps() link.Caps {
	c := h.Link.Caps()
	c.Address = h.address
	return c
}

// Close implements [link.Link]: it ends the node.
func (h *host) Close() (unread int, err error) {
	h.close.Do(func() {
		unread, err = h.Link.Close()
		err = errors.Join(err, h.sw.Close())
		h.serving.Wait()
		err = errors.Join(err, h.leftovers.removeDir())
	})
	return unread, err
}
