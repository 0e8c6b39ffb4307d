// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// parseUplink reads [PORT=]LOCATOR. A locator that begins with a number and an equals
// sign has to be written with its scheme.
func parseUplink(text string) (config.Uplink, error) {
	number, locator, ok := strings.Cut(text, "=")
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return config.Uplink{Locator: text}, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxPorts {
		return config.Uplink{}, usageErrorf("--link %s: give a port from 1 to %d", text, maxPorts)
	}
	if locator == "" {
		return config.Uplink{}, usageErrorf("--link %s: give a locator behind the port", text)
	}
	return config.Uplink{Locator: locator, Port: n}, nil
}

// An uplink is a network that a switch is joined to.
type uplink struct {
	config.Uplink
	attachment *vswitch.Attachment
}

// openUplink opens u, for a switch with the configuration cfg.
func openUplink(ctx context.Context, u config.Uplink, cfg vswitch.Config) (link.Link, error) {
	return vde.OpenLink(ctx, u.Locator, drivers(), vde.WithDescription("vde switch"),
		vde.WithMaxFrameSize(cfg.MaxFrameSize), vde.WithSharedMemory(cfg.SharedMemory))
}

// hopeless reports whether what could not be opened with the error err never can be.
func hopeless(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// attachUplink attaches u to a port of sw. The link is first, if that is not nil, or it is
// opened later, and again when it has ended. fail is called if what u names cannot be
// opened at all, or, if u is required, if the first attempt fails.
func attachUplink(ctx context.Context, sw *vswitch.Switch, u config.Uplink, cfg vswitch.Config, first link.Link, fail func(error)) (*uplink, error) {
	attempts := 0
	dial := func(ctx context.Context) (link.Link, error) {
		attempts++
		if attempts == 1 && first != nil {
			return first, nil
		}
		l, err := openUplink(ctx, u, cfg)
		if err != nil && attempts == 1 && (u.Required || hopeless(err)) {
			fail(fmt.Errorf("uplink %s: %w", u.Locator, err))
		}
		return l, err
	}
	l, err := link.Redial(ctx, dial, link.RedialPolicy{FirstDial: first == nil, MinDelay: u.MinDelay, MaxDelay: u.MaxDelay})
	if err != nil {
		return nil, err
	}
	a, err := sw.AttachLink(l, vswitch.LinkConfig{Port: u.Port, Description: cmp.Or(u.Description, u.Locator), Uplink: true})
	if err != nil {
		return nil, err
	}
	return &uplink{u, a}, nil
}

// parsePort reads PORT:KEY=VALUE,… on top of what f says about the port.
func parsePort(text string, f *config.File) error {
	number, list, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > maxPorts {
		return usageErrorf("--port %s: give a port from 0 to %d, a colon and settings, as in 3:vlan=10,tagged=20+30", text, maxPorts)
	}
	pc, ok := f.Ports[n]
	if !ok {
		pc = f.PortDefault(n)
	}
	for setting := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(setting, "=")
		if key == "loops" {
			key = "loop-protection"
		}
		if err := config.SetPort(&pc, key, value); err != nil {
			return usageErrorf("--port %s: %w", text, err)
		}
	}
	if f.Ports == nil {
		f.Ports = make(map[int]vswitch.PortConfig)
	}
	f.Ports[n] = pc
	return nil
}
