// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"strings"
	"testing"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// TestMTUOfConnection checks that an MTU which the connection does not carry is an
// error, and that the error says how to open the connection.
func TestMTUOfConnection(t *testing.T) {
	t.Parallel()
	c, _ := pair(t, vde.WithMaxFrameSize(4014))
	const want = "WithMaxFrameSize(4015)"
	_, err := netstack.NewHost(c, netstack.HostConfig{Addrs: addrs(), MTU: 4001})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a host: %v", err)
	}
	_, err = netstack.NewEndpoint(c, netstack.EndpointConfig{MTU: 4001})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an endpoint: %v", err)
	}
	host(t, c, netstack.HostConfig{MTU: 4000})
}
