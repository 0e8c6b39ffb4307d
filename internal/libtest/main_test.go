// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watchdog is how long a test may take. It takes as long only if it hangs, even on a
// busy machine.
const watchdog = 5 * time.Minute

// bound returns a context that ends when the test hangs.
func bound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	return ctx
}

// conns returns n connections to a switch.
func conns(t testing.TB, n int) []*vde.Conn {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	c := make([]*vde.Conn, n)
	for i := range c {
		var err error
		if c[i], err = sw.Attach(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c[i].Close() })
	}
	return c
}

// The addresses of the first and of the second host.
var (
	first4, second4 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	first6, second6 = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
)

// host returns a host on c with the given addresses.
func host(t testing.TB, c *vde.Conn, a4, a6 netip.Addr) *netstack.Host {
	t.Helper()
	h, err := netstack.NewHost(c, netstack.HostConfig{Addrs: []netip.Prefix{netip.PrefixFrom(a4, 24), netip.PrefixFrom(a6, 64)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// hosts returns two hosts on a switch.
func hosts(t testing.TB) (first, second *netstack.Host) {
	t.Helper()
	c := conns(t, 2)
	return host(t, c[0], first4, first6), host(t, c[1], second4, second6)
}

// listen returns a listener of h for TCP that is closed when the test ends.
func listen(t testing.TB, h *netstack.Host, address string) net.Listener {
	t.Helper()
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// payload returns a reader of size pseudo-random bytes, the same for the same seed.
func payload(seed byte, size int64) io.Reader {
	return io.LimitReader(mathrand.NewChaCha8([32]byte{seed}), size)
}

// echo writes size bytes to rw, calls closeWrite, and returns an error if what it
// reads until the end differs from what it has written.
func echo(rw io.ReadWriter, closeWrite func() error, seed byte, size int64) error {
	wrote := make(chan error, 1)
	sent := sha256.New()
	go func() {
		_, err := io.Copy(rw, io.TeeReader(payload(seed, size), sent))
		if err == nil {
			err = closeWrite()
		}
		wrote <- err
	}()
	got := sha256.New()
	n, err := io.Copy(got, rw)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", n, size, err)
	}
	if err := <-wrote; err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if n != size || string(got.Sum(nil)) != string(sent.Sum(nil)) {
		return fmt.Errorf("received %d bytes with another sum than the %d that were sent", n, size)
	}
	return nil
}

// tlsConfigs returns the configurations of a server with a new certificate and of a
// client that accepts it, with the given protocols of ALPN.
func tlsConfigs(t testing.TB, protocols ...string) (server, client *tls.Config) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{first4.AsSlice(), first6.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: protocols},
		&tls.Config{RootCAs: roots, NextProtos: protocols}
}
