// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vswitch"
)

// liveKeys are the settings that can be changed while the switch runs.
var liveKeys = []string{"ports", "default-port", "port-groups", "num-ports", "hub", "ageing-time", "uplinks", "mirrors", "log"}

// A change is a part of the difference between settings.
type change struct {
	key      string // of the settings
	do, undo func() error
}

// A transition is the way from the settings of a switch to others.
type transition struct {
	l        *liveSwitch
	from, to *config.File
	keys     []string // that differ

	removed, added []config.Uplink
	opened         map[int]link.Link // of added, by index; not yet attached

	changes []change
}

// apply changes the switch from its settings to to, or not at all, and returns the keys of
// what it has changed; l.mu is held.
func (l *liveSwitch) apply(ctx context.Context, to *config.File) (changed []string, err error) {
	t := &transition{l: l, from: l.settings, to: to, keys: l.settings.Differences(to), opened: make(map[int]link.Link)}
	defer t.closeOpened()
	attached := l.attached()
	t.removed, t.added = difference(attached, to.Uplinks), difference(to.Uplinks, attached)
	if err := errors.Join(t.checkKeys(), t.checkNumPorts()); err != nil {
		return nil, err
	}
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	t.plan(ctx)
	for i, c := range t.changes {
		if err := c.do(); err != nil {
			err = to.Errorf(c.key, "%w", err)
			for _, c := range slices.Backward(t.changes[:i]) {
				if undoErr := c.undo(); undoErr != nil {
					err = errors.Join(err, fmt.Errorf("%s: cannot be changed back: %w", c.key, undoErr))
				}
			}
			return nil, err
		}
		if !slices.Contains(changed, c.key) {
			changed = append(changed, c.key)
		}
	}
	l.settings = to
	return changed, nil
}

// checkKeys returns an error if the switch has to be started again for the difference.
func (t *transition) checkKeys() error {
	var errs []error
	refuse := func(key string) {
		errs = append(errs, t.to.Errorf(key, "cannot be changed while the switch runs; start it again, or put back what was here"))
	}
	for _, key := range t.keys {
		if !slices.Contains(liveKeys, key) {
			refuse(key)
		}
	}
	for name, g := range t.to.PortGroups {
		if old, ok := t.from.PortGroups[name]; !ok || old.First != g.First || old.Last != g.Last {
			refuse("port-groups." + name)
		}
	}
	for name := range t.from.PortGroups {
		if _, ok := t.to.PortGroups[name]; !ok {
			refuse("port-groups." + name)
		}
	}
	return errors.Join(errs...)
}

// checkNumPorts returns an error if a port is in use that there will not be, other than by
// an uplink that is removed.
func (t *transition) checkNumPorts() error {
	if !slices.Contains(t.keys, "num-ports") {
		return nil
	}
	going := make(map[uint64]bool)
	for _, u := range t.l.uplinks {
		if slices.Contains(t.removed, u.Uplink) {
			going[u.attachment.ID()] = true
		}
	}
	for _, p := range t.l.sw.Ports() {
		stays := slices.ContainsFunc(p.Endpoints, func(e vswitch.Endpoint) bool { return !going[e.ID] })
		if stays && p.Number > t.to.LastPort() {
			return t.to.Errorf("num-ports", "port %d is in use; disconnect it first", p.Number)
		}
	}
	return nil
}

// openTimeout bounds the time for which changes wait for a new uplink.
const openTimeout = 5 * time.Second

// open opens the uplinks to be added, before anything is changed. It fails for those that
// can never be opened. Others may come up later. What leads to the same network as an
// uplink that is removed is opened after that.
func (t *transition) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for i, u := range t.added {
		if slices.ContainsFunc(t.removed, func(r config.Uplink) bool { return r.Locator == u.Locator }) {
			continue
		}
		opened, err := openUplink(ctx, u, t.from.Config)
		if err == nil {
			t.opened[i] = opened
		} else if u.Required || hopeless(err) {
			at := slices.Index(t.to.Uplinks, u)
			return t.to.Errorf(fmt.Sprintf("uplinks[%d]", at), "%s: %w", u.Locator, err)
		}
	}
	return nil
}

// closeOpened closes the uplinks that were opened and not attached.
func (t *transition) closeOpened() {
	for _, l := range t.opened {
		_, _ = l.Close()
	}
}

// plan lists the changes in an order in which each is possible.
func (t *transition) plan(ctx context.Context) {
	grows := t.to.LastPort() > t.from.LastPort()
	if grows {
		t.numPorts()
	}
	for _, u := range t.removed {
		t.change("uplinks", func() error { return t.l.detach(u) }, func() error { return t.l.attach(ctx, u, nil, t.l.logFailure) })
	}
	sw := t.l.sw
	t.setting("log", func(f *config.File) error { t.l.level.Set(f.Log); return nil })
	t.setting("hub", func(f *config.File) error { sw.SetHub(f.Hub); return nil })
	t.setting("ageing-time", func(f *config.File) error { return sw.SetAgeingTime(ageingTime(f)) })
	t.setting("default-port", func(f *config.File) error { return sw.SetDefaultPort(f.DefaultPort) })
	t.ports()
	for _, m := range difference(t.from.Mirrors, t.to.Mirrors) {
		t.change("mirrors", func() error { return sw.Unmirror(m.Src, m.Dst) }, func() error { return sw.Mirror(m.Src, m.Dst) })
	}
	if !grows {
		t.numPorts()
	}
	for i, u := range t.added {
		t.change("uplinks", func() error {
			first := t.opened[i]
			delete(t.opened, i)
			return t.l.attach(ctx, u, first, t.l.logFailure)
		}, func() error { return t.l.detach(u) })
	}
	for _, m := range difference(t.to.Mirrors, t.from.Mirrors) {
		t.change("mirrors", func() error { return sw.Mirror(m.Src, m.Dst) }, func() error { return sw.Unmirror(m.Src, m.Dst) })
	}
}

func (t *transition) change(key string, do, undo func() error) {
	t.changes = append(t.changes, change{key, do, undo})
}

// setting plans to change one setting, with set, if it differs.
func (t *transition) setting(key string, set func(*config.File) error) {
	if slices.Contains(t.keys, key) {
		t.change(key, func() error { return set(t.to) }, func() error { return set(t.from) })
	}
}

func (t *transition) numPorts() {
	t.setting("num-ports", func(f *config.File) error { return t.l.sw.SetNumPorts(f.LastPort()) })
}

// ports plans to change the ports whose configuration differs. Those that there will not be
// lose theirs, in case that they come again.
func (t *transition) ports() {
	numbers := make(map[int]bool)
	for _, f := range []*config.File{t.from, t.to} {
		for n := range f.Ports {
			numbers[n] = true
		}
	}
	for name, g := range t.to.PortGroups {
		for n := g.First; n <= g.Last && !reflect.DeepEqual(g.DefaultPort, t.from.PortGroups[name].DefaultPort); n++ {
			numbers[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		from, fromOwn := ownPort(t.from, n)
		to, toOwn := ownPort(t.to, n)
		if fromOwn == toOwn && reflect.DeepEqual(from, to) {
			continue
		}
		set := func(pc vswitch.PortConfig, own bool) error {
			if own {
				return t.l.sw.SetPort(n, pc)
			}
			return t.l.sw.ResetPort(n)
		}
		t.change(fmt.Sprintf("ports.%d", n), func() error { return set(to, toOwn) }, func() error { return set(from, fromOwn) })
	}
}

// ownPort returns what f says about port n itself or about its group, and whether that is
// anything.
func ownPort(f *config.File, n int) (pc vswitch.PortConfig, own bool) {
	if pc, own = f.Ports[n]; own {
		return pc, true
	}
	for _, g := range f.PortGroups {
		if g.First <= n && n <= g.Last {
			return g.DefaultPort, true
		}
	}
	return pc, false
}

// ageingTime returns the ageing time of f, with its default filled in.
func ageingTime(f *config.File) time.Duration {
	if f.AgeingTime == 0 {
		return vswitch.DefaultAgeingTime
	}
	return f.AgeingTime
}

// difference returns what is in a more often than in b.
func difference[E comparable](a, b []E) (list []E) {
	left := slices.Clone(b)
	for _, e := range a {
		if i := slices.Index(left, e); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			list = append(list, e)
		}
	}
	return list
}
