// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package api shows and changes a running switch from other processes: a server for
// the program that has the switch, and a client.
//
//	sw := vswitch.New(vswitch.Config{})
//	server := api.New(sw, api.Options{})
//	defer server.Close()
//	listener, err := vswitch.ListenSocket("/run/lab.ctl/api", 0o600, "")
//	...
//	go server.Serve(ctx, listener, api.Access{})
//
// and elsewhere
//
//	client, err := api.Dial(ctx, "/run/lab.ctl")
//	...
//	defer client.Close()
//	ports, err := client.ListPorts(ctx, &switchv1.ListPortsRequest{Active: true})
//
// The messages are those of package switchv1, generated from
// api/proto/vde/switch/v1/switch.proto, which documents each field. The protocol is
// Connect's: a unary call is a POST of JSON or Protocol Buffers, so curl is a client
// too; see docs/api.md.
//
// Nothing that a client does delays a port: views are made of snapshots, all watchers
// share one sampling of the counters and one bounded history of events, and a client
// that does not read is disconnected.
package api
