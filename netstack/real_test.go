// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// payload is a reader of size bytes that look random and are always the same.
func payload(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
}

func payloadSum(size int64) string {
	h := sha256.New()
	io.Copy(h, payload(size))
	return hex.EncodeToString(h.Sum(nil))
}

// serveHTTP serves payload(size) at /get, and at /put answers with the sum of
// what it gets, until the test ends.
func serveHTTP(t *testing.T, l net.Listener, size int64) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /get", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		io.Copy(w, payload(size))
	})
	mux.HandleFunc("PUT /put", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		if _, err := io.Copy(h, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%x", h.Sum(nil))
	})
	srv := &http.Server{Handler: mux}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// httpGet fetches url through dial and returns the sum of the body.
func httpGet(ctx context.Context, url string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (string, error) {
	tr := &http.Transport{DialContext: dial}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func url(a netip.Addr, port int, path string) string {
	return "http://" + netip.AddrPortFrom(a, uint16(port)).String() + path
}

// stationListen makes a listener of the kernel's stack.
func stationListen(t *testing.T, s *testpeers.KernelTap, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	err := s.Do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// kernelPing sends an echo request with data from the kernel's stack and waits
// for the reply.
func kernelPing(t *testing.T, s *testpeers.KernelTap, to netip.Addr, data []byte) error {
	network := "ip4:icmp"
	request := make([]byte, header.ICMPv4MinimumSize, header.ICMPv4MinimumSize+len(data))
	reply := byte(header.ICMPv4EchoReply)
	if to.Is4() {
		h := header.ICMPv4(request)
		h.SetType(header.ICMPv4Echo)
		h.SetIdent(77)
		request = append(request, data...)
		header.ICMPv4(request).SetChecksum(^checksum.Checksum(request, 0))
	} else {
		network = "ip6:ipv6-icmp" // the kernel computes the checksum
		reply = byte(header.ICMPv6EchoReply)
		h := header.ICMPv6(request)
		h.SetType(header.ICMPv6EchoRequest)
		h.SetIdent(77)
		request = append(request, data...)
	}
	var c net.PacketConn
	err := s.Do(func() (err error) {
		c, err = net.ListenPacket(network, "")
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := bound(t).Deadline()
	c.SetDeadline(deadline)
	if _, err := c.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	for buf := make([]byte, 65536); ; {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if n >= header.ICMPv4MinimumSize && buf[0] == reply && bytes.Equal(buf[header.ICMPv4MinimumSize:n], data) {
			return nil
		}
	}
}

// TestKernel lets a Host and the kernel's own TCP/IP stack talk through a stock
// switch.
func TestKernel(t *testing.T) {
	testpeers.Need(t, "vde_switch", "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	testKernel(t, sw.VNL(), 1500)
}

func testKernel(t *testing.T, vnl string, mtu int) {
	s := testpeers.StartKernelTap(t, vnl, testpeers.KernelTapConfig{MTU: mtu})
	h := host(t, open(t, vnl, vde.WithMaxFrameSize(max(mtu+14, 9234))), netstack.HostConfig{MTU: mtu})
	families := []struct {
		name   string
		ours   netip.Addr
		kernel netip.Addr
		header int // of IP and ICMP
	}{
		{"IPv4", addr4(h), s.Addr4(), 28},
		{"IPv6", addr6(h), s.Addr6(), 48},
	}
	size := scaled(100<<20, 4<<20)
	sum := payloadSum(size)

	for _, f := range families {
		t.Run("ping/"+f.name, func(t *testing.T) {
			most := mtu - f.header
			// 3 * most takes fragments.
			for _, n := range []int{0, 1, 56, 512, 1000, most - 1, most, 3 * most} {
				if n+f.header > 65535 {
					continue
				}
				data := make([]byte, n)
				rand.NewChaCha8([32]byte{}).Read(data)
				if rtt, err := h.PingData(bound(t), f.kernel, data); err != nil {
					t.Errorf("%d bytes to the kernel: %v", n, err)
				} else if n == 56 {
					t.Logf("%v from the kernel", rtt)
				}
				if err := kernelPing(t, s, f.ours, data); err != nil {
					t.Errorf("%d bytes from the kernel: %v", n, err)
				}
			}
		})
		t.Run("server/"+f.name, func(t *testing.T) {
			testpeers.Need(t, "curl", "sha256sum", "sh")
			l, err := h.Listen("tcp", netip.AddrPortFrom(f.ours, 0).String())
			if err != nil {
				t.Fatal(err)
			}
			serveHTTP(t, l, size)
			port := l.Addr().(*net.TCPAddr).Port
			out, err := s.Exec(bound(t), "sh", "-c", "curl -g -sS --fail '"+url(f.ours, port, "/get")+"' | sha256sum")
			if got, _, _ := strings.Cut(string(out), " "); err != nil || got != sum {
				t.Errorf("curl got %q (%v), not %q", got, err, sum)
			}
			// And upwards.
			out, err = s.Exec(bound(t), "sh", "-c", "head -c 3000000 /dev/zero | curl -g -sS --fail -T - '"+url(f.ours, port, "/put")+"'")
			if want := fmt.Sprintf("%x", sha256.Sum256(make([]byte, 3000000))); err != nil || string(out) != want {
				t.Errorf("curl put %q (%v), not %q", out, err, want)
			}
		})
		t.Run("client/"+f.name, func(t *testing.T) {
			l := stationListen(t, s, netip.AddrPortFrom(f.kernel, 0).String())
			serveHTTP(t, l, size)
			got, err := httpGet(bound(t), url(f.kernel, l.Addr().(*net.TCPAddr).Port, "/get"), h.DialContext)
			if err != nil || got != sum {
				t.Errorf("got %q (%v), not %q", got, err, sum)
			}
		})
		t.Run("UDP/"+f.name, func(t *testing.T) { testKernelUDP(t, h, s, f.ours, f.kernel, mtu) })
		t.Run("refused/"+f.name, func(t *testing.T) {
			_, err := h.DialContext(bound(t), "tcp", netip.AddrPortFrom(f.kernel, 9).String())
			wantErrno(t, err, "dial", errRefused)
			out, err := s.Exec(bound(t), "sh", "-c", "curl -g -sS '"+url(f.ours, 9, "/")+"' 2>&1; echo $?")
			if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "7") {
				t.Errorf("curl to a closed port of ours: %v %s", err, out)
			}
		})
	}
	t.Run("iperf3", func(t *testing.T) {
		testIperf(t, h, s, families[0].kernel)
	})
	st := h.Stats()
	t.Logf("%+v", st)
	if d := st.Endpoint.TxDropped(); d != 0 {
		t.Errorf("the endpoint dropped %d frames", d)
	}
}

// testKernelUDP echoes datagrams of many sizes, fragments included, both ways.
func testKernelUDP(t *testing.T, h *netstack.Host, s *testpeers.KernelTap, ours, kernel netip.Addr, mtu int) {
	var kc net.PacketConn
	err := s.Do(func() (err error) {
		kc, err = net.ListenPacket("udp", netip.AddrPortFrom(kernel, 0).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	hc, err := h.ListenPacket("udp", netip.AddrPortFrom(ours, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct {
		name     string
		from, to net.PacketConn
	}{{"to the kernel", hc, kc}, {"from the kernel", kc, hc}} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 65536)
			for {
				n, from, err := way.to.ReadFrom(buf)
				if err != nil {
					return
				}
				way.to.WriteTo(buf[:n], from)
			}
		}()
		buf := make([]byte, 65536)
		for _, n := range []int{0, 1, 100, 1400, mtu - 48, 9000, 60000} {
			data := make([]byte, n)
			rand.NewChaCha8([32]byte{2}).Read(data)
			deadline, _ := bound(t).Deadline()
			way.from.SetDeadline(deadline)
			if _, err := way.from.WriteTo(data, way.to.LocalAddr()); err != nil {
				t.Fatal(way.name, n, err)
			}
			got, _, err := way.from.ReadFrom(buf)
			if err != nil || string(buf[:got]) != string(data) {
				t.Fatalf("%s: %d bytes came back as %d (%v)", way.name, n, got, err)
			}
		}
		way.to.SetReadDeadline(past)
		<-done
		way.to.SetReadDeadline(zero)
	}
	kc.Close()
	hc.Close()
}

// testIperf measures against the kernel's iperf3, with a small client of our own.
func testIperf(t *testing.T, h *netstack.Host, s *testpeers.KernelTap, kernel netip.Addr) {
	testpeers.Need(t, "iperf3")
	for i, mode := range []iperfMode{
		{Bytes: scaled(64<<20, 4<<20)},
		{Bytes: scaled(64<<20, 4<<20), Reverse: true},
		{Bytes: scaled(64<<20, 4<<20), Streams: 8},
		{Bytes: scaled(16<<20, 1<<20), UDP: true, Rate: 200e6},
	} {
		// One server for each: between two tests it closes its port for a moment.
		port := uint16(5201 + i)
		srv := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"iperf3", "-s", "-1", "-p", strconv.Itoa(int(port))}, Namespace: s.Namespace})
		res, err := iperf(bound(t), h, netip.AddrPortFrom(kernel, port), mode)
		if err != nil {
			t.Fatalf("%+v: %v\n%s", mode, err, srv.Log())
		}
		b, _ := json.Marshal(res)
		t.Logf("%+v: %s", mode, b)
		// What is in the server's receive buffers when the client says that it
		// has sent all is not counted. A stream is longer than they are at first,
		// and they grow only by reading.
		if res.Received == 0 || mode.Reverse && res.Received < mode.Bytes {
			t.Errorf("%+v: %d bytes arrived", mode, res.Received)
		}
	}
}

// TestWire sends through a wire that delays, loses, doubles and reorders.
func TestWire(t *testing.T) {
	testpeers.Need(t, "vde_switch", "wirefilter")
	a, b := testpeers.StartSwitch(t, testpeers.SwitchConfig{}), testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{
		"wirefilter", "-v", a.Dir() + ":" + b.Dir(),
		"-d", "20+4", // milliseconds
		"-l", "1", "-D", "1", // per cent
		"-N", // let frames overtake
	}})
	for _, sw := range []*testpeers.Switch{a, b} {
		if err := sw.WaitActive(bound(t), 1); err != nil {
			t.Fatal(err)
		}
	}
	server, client := host(t, open(t, a.VNL()), netstack.HostConfig{}), host(t, open(t, b.VNL()), netstack.HostConfig{})
	size := scaled(4<<20, 1<<20)
	sum := payloadSum(size)
	for _, addr := range []netip.Addr{addr4(server), addr6(server)} {
		l, err := server.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		serveHTTP(t, l, size)
		got, err := httpGet(bound(t), url(addr, l.Addr().(*net.TCPAddr).Port, "/get"), client.DialContext)
		if err != nil || got != sum {
			t.Errorf("%v: got %q (%v), not %q", addr, got, err, sum)
		}
	}
	st := server.Stats()
	t.Logf("retransmits %d, timeouts %d, segments %d, dropped by us %d",
		st.TCPRetransmits, st.TCPTimeouts, st.TCPSegmentsSent, st.Endpoint.TxDropped())
	if st.TCPRetransmits == 0 {
		t.Error("a wire that loses frames cost no retransmission")
	}
}
