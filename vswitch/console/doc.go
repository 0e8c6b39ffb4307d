// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package console is the management console of vde_switch: a server for a
// [vswitch.Switch], and a client for the consoles of all switches.
//
// Use it to let programs written for vde_switch (unixterm, unixcmd, vdeterm, scripts)
// look at a switch and change it, or to look at a vde_switch that runs.
//
//	var access console.Access
//	sw := vswitch.New(vswitch.Config{Admit: access.Admit})
//	server := console.New(sw, console.Options{Access: &access, Dir: "/run/lab.ctl"})
//	l, err := console.Listen("/run/lab.mgmt", 0o600, "")
//	go server.Serve(ctx, l)
//
// The protocol, with the bytes of every answer, is in docs/spec/vde-switch-mgmt.md; what
// differs from vde_switch is in docs/console.md.
//
// A session that does not read delays no other session and no port: its answers wait in
// pieces of a bounded size, its events are dropped, and after a time it is ended.
// Sessions are not authenticated beyond the permissions of the socket.
package console
