// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// An uplink is a network that a switch is joined to.
type uplink struct {
	port    int // 0 for any
	locator string
}

// parseUplink reads [PORT=]LOCATOR. A locator that begins with a number and an equals
// sign has to be written with its scheme.
func parseUplink(text string) (uplink, error) {
	number, locator, ok := strings.Cut(text, "=")
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return uplink{locator: text}, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxPorts {
		return uplink{}, usageErrorf("--link %s: give a port from 1 to %d", text, maxPorts)
	}
	if locator == "" {
		return uplink{}, usageErrorf("--link %s: give a locator behind the port", text)
	}
	return uplink{n, locator}, nil
}

// attach attaches u to a port of sw, and reports how to find its counters. The link is
// opened later, and again when it has ended. fail is called if what it names cannot be
// opened at all, or, with required, if the first attempt fails.
func (u uplink) attach(ctx context.Context, sw *vswitch.Switch, cfg vswitch.Config, required bool, fail func(error)) (*vswitch.Attachment, error) {
	first := true
	dial := func(ctx context.Context) (link.Link, error) {
		l, err := vde.OpenLink(ctx, u.locator, drivers(), vde.WithDescription("vde switch"),
			vde.WithMaxFrameSize(cfg.MaxFrameSize), vde.WithSharedMemory(cfg.SharedMemory))
		hopeless := errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
		if err != nil && first && (required || hopeless) {
			fail(fmt.Errorf("uplink %s: %w", u.locator, err))
		}
		first = false
		return l, err
	}
	l, err := link.Redial(ctx, dial, link.RedialPolicy{FirstDial: true})
	if err != nil {
		return nil, err
	}
	return sw.AttachLink(l, vswitch.LinkConfig{Port: u.port, Description: u.locator, Uplink: true})
}

// logUplinks logs what has passed each uplink.
func logUplinks(log *slog.Logger, sw *vswitch.Switch, uplinks []uplink) {
	byPort := make(map[int]vswitch.PortStats)
	for _, p := range sw.Stats().Ports {
		byPort[p.Port] = p
	}
	for _, u := range uplinks {
		p := byPort[u.port]
		log.Info("uplink ended", "port", u.port, "locator", u.locator,
			"in", p.In.Frames, "in_dropped", p.In.Dropped.Sum(), "out", p.Out.Frames, "out_dropped", p.Out.Dropped.Sum())
	}
}

// parsePort reads PORT:KEY=VALUE,… on top of what is already said about the port in
// ports.
func parsePort(text string, ports map[int]vswitch.PortConfig, other vswitch.PortConfig) error {
	number, list, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > maxPorts {
		return usageErrorf("--port %s: give a port from 0 to %d, a colon and settings, as in 3:vlan=10,tagged=20+30", text, maxPorts)
	}
	pc, ok := ports[n]
	if !ok {
		pc = other
	}
	for setting := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(setting, "=")
		switch key {
		case "vlan":
			pc.VLAN = vswitch.NoVLAN
			if value != "none" {
				pc.VLAN, err = parseVLAN(value)
			}
		case "tagged":
			pc.Tagged, err = parseVLANs(value)
		case "loops":
			err = pc.LoopProtection.UnmarshalText([]byte(value))
		default:
			err = fmt.Errorf("unknown setting %q, want vlan, tagged or loops", key)
		}
		if err != nil {
			return usageErrorf("--port %s: %w", text, err)
		}
	}
	ports[n] = pc
	return nil
}

// parseVLANs reads identifiers with plus signs between them, or "all".
func parseVLANs(text string) (list []uint16, err error) {
	if text == "all" {
		return vswitch.AllVLANs(), nil
	}
	for s := range strings.SplitSeq(text, "+") {
		v, err := parseVLAN(s)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func parseVLAN(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n >= vswitch.NoVLAN {
		return 0, fmt.Errorf("VLAN %q: give 0 to %d", text, vswitch.NoVLAN-1)
	}
	return uint16(n), nil
}
