// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/go-vde/sdk/netstack"
)

// A hostBind lets the datagrams of WireGuard travel from a Host.
type hostBind struct {
	h *netstack.Host

	mu     sync.Mutex
	socket *netstack.UDPConn // guarded by mu; nil while closed
}

var _ conn.Bind = (*hostBind)(nil)

func (b *hostBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	pc, err := b.h.ListenPacket("udp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, 0, err
	}
	b.socket = pc.(*netstack.UDPConn)
	if err := b.socket.SetReadBuffer(4 << 20); err != nil { // as conn.StdNetBind, so that bursts fit
		return nil, 0, err
	}
	receive := func(packets [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		n, from, err := pc.(*netstack.UDPConn).ReadFromAddrPort(packets[0])
		if err != nil {
			return 0, err // after Close it matches net.ErrClosed
		}
		sizes[0], eps[0] = n, &conn.StdNetEndpoint{AddrPort: from}
		return 1, nil
	}
	return []conn.ReceiveFunc{receive}, netip.MustParseAddrPort(pc.LocalAddr().String()).Port(), nil
}

func (b *hostBind) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket == nil {
		return nil
	}
	err := b.socket.Close()
	b.socket = nil
	return err
}

func (b *hostBind) Send(packets [][]byte, ep conn.Endpoint) error {
	b.mu.Lock()
	socket := b.socket
	b.mu.Unlock()
	if socket == nil {
		return fmt.Errorf("the socket is closed")
	}
	for _, p := range packets {
		if _, err := socket.WriteToAddrPort(p, ep.(*conn.StdNetEndpoint).AddrPort); err != nil {
			return err
		}
	}
	return nil
}

func (b *hostBind) ParseEndpoint(s string) (conn.Endpoint, error) {
	ap, err := netip.ParseAddrPort(s)
	return &conn.StdNetEndpoint{AddrPort: ap}, err
}

func (b *hostBind) SetMark(uint32) error { return nil }
func (b *hostBind) BatchSize() int       { return 1 }

// TestWireGuard connects two Ethernets by two devices of wireguard-go, whose datagrams
// travel between two hosts on a third Ethernet, and sends data over TCP from one to the
// other.
func TestWireGuard(t *testing.T) {
	const size = 1 << 20
	outside := newSwitch(t)
	a, b := newSite(t, 1, 2), newSite(t, 2, 1)
	outA := newHost(t, outside, netstack.HostConfig{Addrs: addrs(9, 1)})
	outB := newHost(t, outside, netstack.HostConfig{Addrs: addrs(9, 2)})
	keyA, keyB := newKey(t), newKey(t)
	start(t, a, outA, keyA, peer(keyB, netip.AddrPortFrom(addr4(9, 2), 51820), 2))
	start(t, b, outB, keyB, peer(keyA, netip.AddrPortFrom(addr6(9, 1), 51820), 1))

	for _, to := range []netip.Addr{addr4(2, 2), addr6(2, 2)} {
		transfer(t, a.host, b.host, to, size)
	}
	// That the data went the long way.
	for _, h := range []*netstack.Host{outA, outB} {
		if s := h.Stats().Endpoint.Conn; s.TxBytes < 2*size || s.RxBytes < 2*size {
			t.Errorf("%d bytes sent, %d received on the outside", s.TxBytes, s.RxBytes)
		}
	}
	if _, err := b.host.Ping(bound(t), addr4(1, 1)); err != nil {
		t.Errorf("ping from the other side: %v", err)
	}
}

func newKey(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// peer returns the configuration of a peer that a site is behind.
func peer(key *ecdh.PrivateKey, endpoint netip.AddrPort, site byte) string {
	var s strings.Builder
	fmt.Fprintf(&s, "public_key=%s\nendpoint=%v\n", hex.EncodeToString(key.PublicKey().Bytes()), endpoint)
	for _, n := range networks(site) {
		fmt.Fprintf(&s, "allowed_ip=%v\n", n)
	}
	return s.String()
}

// start starts WireGuard on the device of a site and a socket of a host.
func start(t *testing.T, s *site, h *netstack.Host, key *ecdh.PrivateKey, peer string) {
	t.Helper()
	logger := &device.Logger{Verbosef: device.DiscardLogf, Errorf: t.Errorf}
	wg := device.NewDevice(s.device, &hostBind{h: h}, logger)
	t.Cleanup(wg.Close)
	if err := wg.IpcSet(fmt.Sprintf("private_key=%s\nlisten_port=51820\n%s", hex.EncodeToString(key.Bytes()), peer)); err != nil {
		t.Fatal(err)
	}
	if err := wg.Up(); err != nil {
		t.Fatal(err)
	}
}
