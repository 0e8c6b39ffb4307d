// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vswitch"
)

// A liveSwitch is a running switch with what its settings have added to it.
type liveSwitch struct {
	sw    *vswitch.Switch
	read  func() (*config.File, error) // reads the settings again
	level *slog.LevelVar               // of what is logged

	mu       sync.Mutex
	settings *config.File // guarded by mu; as applied
	uplinks  []*uplink    // guarded by mu

	service service
	metrics *metricsPage // nil if it is not served
	running sync.WaitGroup
}

// newLiveSwitch returns sw, which has been made with settings.
func newLiveSwitch(sw *vswitch.Switch, settings *config.File, read func() (*config.File, error), level *slog.LevelVar) *liveSwitch {
	level.Set(settings.Log)
	return &liveSwitch{sw: sw, read: read, level: level, settings: settings, service: service{settings.Logger}}
}

// start attaches the uplinks, those with a number first, and sets up the mirrors. fail ends
// the switch.
func (l *liveSwitch) start(ctx context.Context, fail func(error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	uplinks := slices.Clone(l.settings.Uplinks)
	slices.SortStableFunc(uplinks, func(a, b config.Uplink) int { return cmp.Compare(min(b.Port, 1), min(a.Port, 1)) })
	for _, u := range uplinks {
		if err := l.attach(ctx, u, nil, fail); err != nil {
			return err
		}
	}
	for _, m := range l.settings.Mirrors {
		if err := l.sw.Mirror(m.Src, m.Dst); err != nil {
			return fmt.Errorf("mirror %d:%d: %w", m.Src, m.Dst, err)
		}
	}
	return nil
}

// metricsSocket is the name of a socket that systemd opens for the page of metrics.
const metricsSocket = "metrics"

// serveMetrics serves the page of metrics on sockets, or where the settings say.
func (l *liveSwitch) serveMetrics(ctx context.Context, sockets []net.Listener) (err error) {
	if len(sockets) == 0 && l.settings.Metrics == "" {
		return nil
	}
	if l.metrics, err = newMetricsPage(l.sw, cmp.Or(l.settings.Name, l.settings.Dir), l.settings.Logger); err != nil {
		return err
	}
	if len(sockets) == 0 {
		socket, err := listenMetrics(ctx, l.settings.Metrics)
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		sockets = []net.Listener{socket}
	}
	for _, socket := range sockets {
		l.metrics.serve(socket, l.settings.Logger)
	}
	return nil
}

// run tells the service manager that the switch is ready, and looks after it until ctx
// ends: hangups have the settings read again.
func (l *liveSwitch) run(ctx context.Context, hangups <-chan struct{}) {
	l.mu.Lock() // the API may have the settings read again already
	l.service.ready("serving %s", l.settings.Dir)
	l.mu.Unlock()
	l.running.Go(func() { l.reloadAt(ctx, hangups) })
	l.running.Go(func() { l.service.watchdog(ctx, func() { l.sw.Stats() }) })
	l.running.Go(func() {
		<-ctx.Done()
		l.service.stopping()
	})
}

// end waits until what run has begun is over, whose context has ended, and ends the page
// of metrics.
func (l *liveSwitch) end() error {
	l.running.Wait()
	if l.metrics == nil {
		return nil
	}
	return l.metrics.close()
}

// attach attaches an uplink, which first opens if it is not nil; l.mu is held.
func (l *liveSwitch) attach(ctx context.Context, u config.Uplink, first link.Link, fail func(error)) error {
	attached, err := attachUplink(ctx, l.sw, u, l.settings.Config, first, fail)
	if err != nil {
		return fmt.Errorf("uplink %s: %w", u.Locator, err)
	}
	l.uplinks = append(l.uplinks, attached)
	return nil
}

// detach detaches an uplink; l.mu is held.
func (l *liveSwitch) detach(u config.Uplink) error {
	i := slices.IndexFunc(l.uplinks, func(attached *uplink) bool { return attached.Uplink == u })
	err := l.uplinks[i].attachment.Close()
	l.logPassed(l.uplinks[i])
	l.uplinks = slices.Delete(l.uplinks, i, i+1)
	return err
}

// attached returns the uplinks that are attached, and forgets those that were disconnected
// since; l.mu is held.
func (l *liveSwitch) attached() (list []config.Uplink) {
	there := make(map[uint64]bool)
	for _, p := range l.sw.Ports() {
		for _, e := range p.Endpoints {
			there[e.ID] = true
		}
	}
	l.uplinks = slices.DeleteFunc(l.uplinks, func(u *uplink) bool {
		if there[u.attachment.ID()] {
			list = append(list, u.Uplink)
			return false
		}
		l.logPassed(u)
		return true
	})
	return list
}

// logFailure logs that an uplink of a running switch cannot be opened.
func (l *liveSwitch) logFailure(err error) { l.settings.Logger.Warn("cannot be opened", "reason", err) }

// logUplinks logs what has passed each uplink.
func (l *liveSwitch) logUplinks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logPassed(l.uplinks...)
}

func (l *liveSwitch) logPassed(uplinks ...*uplink) {
	if len(uplinks) == 0 {
		return
	}
	byPort := make(map[int]vswitch.PortStats)
	for _, p := range l.sw.Stats().Ports {
		byPort[p.Port] = p
	}
	for _, u := range uplinks {
		p := byPort[u.attachment.Port()]
		l.settings.Logger.Info("uplink ended", "port", p.Port, "locator", u.Locator,
			"in", p.In.Frames, "in_dropped", p.In.Dropped.Sum(), "out", p.Out.Frames, "out_dropped", p.Out.Dropped.Sum())
	}
}

// reloadAt reads the settings again for each value of hangups, until ctx ends.
func (l *liveSwitch) reloadAt(ctx context.Context, hangups <-chan struct{}) {
	for {
		select {
		case <-hangups:
		case <-ctx.Done():
			return
		}
		_, _ = l.Reload(ctx) // it is logged
	}
}

// Reload reads the settings again and applies the difference to the running switch. It
// returns the keys of what it has changed. If the settings are wrong, or part of the
// difference cannot be applied while the switch runs, nothing is changed. What came of it
// is logged too.
func (l *liveSwitch) Reload(ctx context.Context) (changed []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.service.reloading()
	settings, err := l.read()
	if err == nil {
		changed, err = l.apply(ctx, settings)
	}
	if err != nil {
		l.settings.Logger.Error("configuration not reloaded, nothing is changed", "reason", err)
		l.service.ready("serving %s; configuration not reloaded: %v", l.settings.Dir, err)
		return nil, err
	}
	l.settings.Logger.Info("configuration reloaded", "changed", changed)
	l.service.ready("serving %s", l.settings.Dir)
	return changed, nil
}
