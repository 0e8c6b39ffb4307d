// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
)

// overrides are the flags that take the place of what the configuration file says.
var overrides = map[string]func(o *switchOptions, f *config.File){
	"ports":         func(o *switchOptions, f *config.File) { f.NumPorts = o.config.NumPorts },
	"hub":           func(o *switchOptions, f *config.File) { f.Hub = o.config.Hub },
	"mode":          func(o *switchOptions, f *config.File) { f.Mode = o.config.Mode },
	"dirmode":       func(o *switchOptions, f *config.File) { f.DirMode = o.config.DirMode },
	"group":         func(o *switchOptions, f *config.File) { f.Group = o.config.Group },
	"max-frame":     func(o *switchOptions, f *config.File) { f.MaxFrameSize = o.config.MaxFrameSize },
	"ageing-time":   func(o *switchOptions, f *config.File) { f.AgeingTime = o.config.AgeingTime },
	"policy":        func(o *switchOptions, f *config.File) { f.DefaultPort.Policy = o.config.DefaultPort.Policy },
	"wait":          func(o *switchOptions, f *config.File) { f.DefaultPort.Wait = o.config.DefaultPort.Wait },
	"shared-memory": func(o *switchOptions, f *config.File) { f.SharedMemory = o.config.SharedMemory },
	"no-polling":    func(o *switchOptions, f *config.File) { f.NoPolling = o.config.NoPolling },
	"no-streams":    func(o *switchOptions, f *config.File) { f.NoStreams = o.config.NoStreams },
	"metrics":       func(o *switchOptions, f *config.File) { f.Metrics = o.metrics },
	"log":           func(o *switchOptions, f *config.File) { f.Log = o.logFlag },

	"mgmt":      func(o *switchOptions, f *config.File) { f.Console.Path = o.console.path },
	"mgmtmode":  func(o *switchOptions, f *config.File) { f.Console.Mode = o.console.perm },
	"mgmtgroup": func(o *switchOptions, f *config.File) { f.Console.Group = o.console.group },

	"api":             func(o *switchOptions, f *config.File) { f.API.Path, f.API.Disabled = o.api.path, false },
	"api-mode":        func(o *switchOptions, f *config.File) { f.API.Mode = o.api.perm },
	"api-group":       func(o *switchOptions, f *config.File) { f.API.Group = o.api.group },
	"http":            func(o *switchOptions, f *config.File) { f.HTTP.Address = o.api.http },
	"http-write":      func(o *switchOptions, f *config.File) { f.HTTP.Write = o.api.httpWrite },
	"http-token-file": func(o *switchOptions, f *config.File) { f.HTTP.TokenFile = o.api.tokenFile },
}

// settings returns what the configuration file, if there is one, the flags and the
// arguments say together. It may be called again, when the file has changed.
func (o *switchOptions) settings(args []string) (*config.File, error) {
	flags := func(f *config.File) {
		for name, override := range overrides {
			if o.file == "" || o.changed(name) {
				override(o, f)
			}
		}
		if o.api.off {
			f.API = config.API{Disabled: true}
		}
	}
	f := new(config.File)
	if o.file == "" {
		flags(f)
	} else {
		var err error
		if f, err = config.Read(o.file, flags); err != nil {
			return nil, err
		}
	}
	if len(args) > 0 {
		f.Dir = args[0]
	}
	switch {
	case f.Dir == "" && o.file == "":
		return nil, usageErrorf("give the control directory DIR, or a file with --config")
	case f.Dir == "":
		return nil, f.Errorf("dir", "is not given; give the control directory here or as an argument")
	}
	f.Logger = o.config.Logger
	return f, o.add(f)
}

// add adds to f what the flags say that may be repeated.
func (o *switchOptions) add(f *config.File) error {
	last := f.LastPort()
	for _, text := range o.ports {
		if err := parsePort(text, f); err != nil {
			return err
		}
	}
	for n := range f.Ports {
		if n > last {
			return usageErrorf("--port %d: the highest port is %d", n, last)
		}
	}
	for _, text := range o.links {
		u, err := parseUplink(text)
		if err != nil {
			return err
		}
		if u.Port > last {
			return usageErrorf("--link %s: the highest port is %d", text, last)
		}
		f.Uplinks = append(f.Uplinks, u)
	}
	for i := range f.Uplinks {
		f.Uplinks[i].Required = f.Uplinks[i].Required || o.requireLinks
	}
	for _, text := range o.mirrors {
		m, err := config.ParseMirror(text)
		if err == nil && (m.Src > last || m.Dst > last || m.Src == m.Dst) {
			err = fmt.Errorf("%d:%d: give two ports, 0 to %d", m.Src, m.Dst, last)
		}
		if err != nil {
			return usageErrorf("--mirror %w", err)
		}
		f.Mirrors = append(f.Mirrors, m)
	}
	return config.Check(f.Config)
}
