// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/netstack"
)

// TestProbeWithoutRoom sends packets through an endpoint that takes none. An error for the
// solicitation of an address that the host probes for would leave the address tentative,
// and the next solicitation of another host would make the stack panic.
func TestProbeWithoutRoom(t *testing.T) {
	t.Parallel()
	c, _ := pair(t)
	e, err := netstack.NewEndpoint(c, netstack.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	write := func(src tcpip.Address) tcpip.Error {
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
			ReserveHeaderBytes: header.IPv6MinimumSize, Payload: buffer.MakeWithData(make([]byte, header.ICMPv6NeighborSolicitMinimumSize)),
		})
		pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
		header.IPv6(pkt.NetworkHeader().Push(header.IPv6MinimumSize)).Encode(&header.IPv6Fields{
			PayloadLength: header.ICMPv6NeighborSolicitMinimumSize, TransportProtocol: header.ICMPv6ProtocolNumber, SrcAddr: src, DstAddr: header.IPv6AllNodesMulticastAddress,
		})
		var list stack.PacketBufferList
		list.PushBack(pkt)
		defer list.Reset()
		_, err := e.WritePackets(list)
		return err
	}
	if err := write(header.IPv6Any); err != nil {
		t.Errorf("for a probe: %v", err)
	}
	if err := write(header.IPv6AllRoutersLinkLocalMulticastAddress); err == nil {
		t.Error("no error for another packet")
	}
	if s := e.Stats(); s.TxDroppedClosed != 2 {
		t.Errorf("%+v", s)
	}
}
