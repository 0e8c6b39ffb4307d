// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package node has the drivers of switch://, hub://, multi:// and bonding://: the
// program that opens such a locator becomes the node itself. It serves the control
// directory in the locator, which any VDE program can join, with a [vswitch.Switch],
// and the link that it gets is a port of its own, the host's.
//
// Give the drivers to [vde.Open] with an option, because vde.Open knows only drivers
// that join networks of others:
//
//	c, err := vde.Open(ctx, "switch:///run/lab.ctl", vde.WithDrivers(node.Drivers()))
//
// What comes from the others, called cables, and from the host goes to:
//
//	node      from a cable                         from the host
//	switch    the port of a known address,         the same
//	          all others for an unknown one
//	hub       all other cables and the host        all cables
//	multi     the host alone                       all cables
//	bonding   the host alone                       one cable, each in turn
//
// The node forwards whether or not the host receives. It ends, and its directory goes,
// with the link. A directory that a killed node has left behind is taken over, one in
// which another switch answers is an error that matches [vswitch.ErrInUse].
//
// A locator is MODULE://[PATH][PARAMETERS], the parameters in brackets and separated by
// slashes, as in hub:///run/lab.ctl[mode=0660/grp=vde]:
//
//	mode        permissions of the sockets, octal (default 0600); execute bits are ignored
//	dirmode     permissions of the directory, octal (default 02700, or, with mode, those
//	            that let in whom mode lets in, with the sticky bit if they may write)
//	grp         group of the directory and the sockets
//	hashsize    addresses that a switch learns (default 65536), rounded up to a power of
//	            two; 0 makes it a hub
//	expiretime  seconds after which an address is forgotten (default 120)
//	hashseed    accepted for compatibility, without an effect
//
// Without PATH it is /tmp/vdenode_LOGIN, with the name of the user.
//
// The source is docs/spec/vnl.md, section 4.2. It works on Linux; elsewhere Open
// returns an error that matches [errors.ErrUnsupported].
//
// [vde.Open]: https://pkg.go.dev/github.com/go-vde/sdk/vde#Open
package node
