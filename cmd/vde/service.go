// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// A service tells the service manager, systemd, what becomes of the process. Without one,
// its methods do nothing.
type service struct{ log *slog.Logger }

// notify sends variables, such as READY=1.
func (s service) notify(variables ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(variables, "\n")); err != nil {
		s.log.Warn("the service manager cannot be told", "variables", variables, "reason", err)
	}
}

// status returns the variable that shows text.
func status(format string, args ...any) string {
	text := printable(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; "))
	const longest = 1000
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return "STATUS=" + text
}

// ready says that the start is over, or reloading.
func (s service) ready(format string, args ...any) {
	s.notify(daemon.SdNotifyReady, status(format, args...))
}

// reloading says that the configuration is read again, until ready.
func (s service) reloading() {
	s.notify(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()), status("reading the configuration again"))
}

// stopping says that the end has begun.
func (s service) stopping() { s.notify(daemon.SdNotifyStopping, status("ending")) }

// watchdog says that the process is alive, as often as systemd asks for that and as long as
// alive returns, until ctx ends.
func (s service) watchdog(ctx context.Context, alive func()) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("the watchdog of the service manager cannot be served", "reason", err)
	}
	if within <= 0 {
		return
	}
	tick := time.NewTicker(within / 2)
	defer tick.Stop()
	for {
		alive()
		s.notify(daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// activated returns the sockets that systemd has opened for the names that FileDescriptorName
// may have, and an error if there are others.
func activated(names ...string) (map[string][]net.Listener, error) {
	const doc = "give FileDescriptorName=%s in the socket unit"
	listeners, err := activation.ListenersWithNames()
	if err != nil {
		return nil, err
	}
	for name := range listeners {
		if !slices.Contains(names, name) {
			closeListeners(listeners)
			return nil, fmt.Errorf("systemd has opened the socket %q: "+doc, name, strings.Join(names, " or "))
		}
	}
	return listeners, nil
}

func closeListeners(listeners map[string][]net.Listener) {
	for _, list := range listeners {
		for _, l := range list {
			l.Close()
		}
	}
}
