// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// The addresses of a connection that is no Host.
var (
	stationMAC = frame.MAC{2, 0, 0, 0, 0, 9}
	station4   = netip.MustParseAddr("10.0.0.9")
	station6   = netip.MustParseAddr("fd00::9")
)

// A frameConn gives the frames of a PayloadConn their headers, which the library for ARP
// reads and writes. A bare Conn does not serve: the library reads into 128 bytes, because
// the sockets that it is made for receive nothing but ARP.
type frameConn struct{ *vde.PayloadConn }

func (c frameConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if len(b) < frame.HeaderLen {
		b = make([]byte, frame.HeaderLen)
	}
	n, src, err := c.PayloadConn.ReadFrom(b[frame.HeaderLen:])
	if err != nil {
		return 0, nil, err
	}
	frame.PutHeader(b, stationMAC, src.(vde.Addr).MAC, frame.EtherTypeARP)
	return frame.HeaderLen + n, src, nil
}

func (c frameConn) WriteTo(b []byte, dst net.Addr) (int, error) {
	n, err := c.PayloadConn.WriteTo(b[frame.HeaderLen:], dst)
	return frame.HeaderLen + n, err
}

// arpClient returns a client of the library on c. The library wants an interface of the
// machine that has an IPv4 address.
func arpClient(t *testing.T, c *vde.Conn) *arp.Client {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	if i < 0 {
		t.Fatal("the machine has no loopback interface")
	}
	loopback := interfaces[i]
	loopback.HardwareAddr = stationMAC.HardwareAddr()
	payloads, err := vde.NewPayloadConn(c, frame.EtherTypeARP, stationMAC)
	if err != nil {
		t.Fatal(err)
	}
	client, err := arp.New(&loopback, frameConn{payloads})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestARP asks a Host for its Ethernet address, and answers the Host's request for that of
// another connection, so that a datagram arrives there.
func TestARP(t *testing.T) {
	c := conns(t, 3)
	h := host(t, c[0], first4, first6)
	client := arpClient(t, c[1])
	deadline, _ := bound(t).Deadline()
	if err := client.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	mac := stationMAC.HardwareAddr()
	request, err := arp.NewPacket(arp.OperationRequest, mac, station4, ethernet.Broadcast, first4)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.WriteTo(request, ethernet.Broadcast); err != nil {
		t.Fatal(err)
	}
	reply := nextARP(t, client, arp.OperationReply)
	if want := h.MAC(); !bytes.Equal(reply.SenderHardwareAddr, want[:]) || reply.SenderIP != first4 || reply.TargetIP != station4 {
		t.Errorf("reply %+v, want the address %v of the host", reply, want)
	}

	other, otherMAC := netip.MustParseAddr("10.0.0.10"), frame.MAC{2, 0, 0, 0, 0, 10}
	out, err := h.Dial("udp", netip.AddrPortFrom(other, 9).String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write([]byte("resolved")); err != nil {
		t.Fatal(err)
	}
	asked := nextARP(t, client, arp.OperationRequest)
	if asked.TargetIP != other || asked.SenderIP != first4 {
		t.Errorf("request %+v, want one of %v for %v", asked, first4, other)
	}
	if err := client.Reply(asked, otherMAC.HardwareAddr(), other); err != nil {
		t.Fatal(err)
	}
	datagrams, err := vde.NewPayloadConn(c[2], frame.EtherTypeIPv4, otherMAC)
	if err != nil {
		t.Fatal(err)
	}
	datagrams.SetDeadline(deadline)
	buf := make([]byte, netstack.DefaultMTU)
	n, _, err := datagrams.ReadFrom(buf)
	if err != nil || !bytes.HasSuffix(buf[:n], []byte("resolved")) {
		t.Errorf("received %q, %v", buf[:n], err)
	}
}

// nextARP returns the next packet with an operation that is about another address than
// the sender's, as announcements are.
func nextARP(t *testing.T, client *arp.Client, op arp.Operation) *arp.Packet {
	t.Helper()
	for {
		p, _, err := client.Read()
		if err != nil {
			t.Fatal(err)
		}
		if p.Operation == op && p.SenderIP != p.TargetIP {
			return p
		}
	}
}
