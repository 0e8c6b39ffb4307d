// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

var restarts = flag.Int("restarts", 3, "how often TestTCPSurvivesTheSwitch restarts it")

// A restartable is a switch that can be killed and started again in the same
// directory.
type restartable interface {
	VNL() string
	Kill()
	Restart()
}

// inProcessSwitch is a vswitch in this process. Kill closes it.
type inProcessSwitch struct {
	t   *testing.T
	dir string
	sw  *vswitch.Switch
}

func (e *inProcessSwitch) VNL() string { return e.dir }

func (e *inProcessSwitch) Kill() { e.sw.Close() }

func (e *inProcessSwitch) Restart() {
	e.sw = vswitch.New(vswitch.Config{})
	e.t.Cleanup(func() { e.sw.Close() })
	listener, err := e.sw.Listen(e.dir)
	if err != nil {
		e.t.Error(err)
		return
	}
	go listener.Serve(e.t.Context())
}

// vswitchProcess is a vswitch in a process of its own.
type vswitchProcess struct{ *testpeers.Server }

func (o vswitchProcess) VNL() string { return o.Dir() }

// switchEnv makes this program the switch of the directory that it names.
const switchEnv = "NETSTACK_TEST_SWITCH"

func startVSwitch(t *testing.T) vswitchProcess {
	return vswitchProcess{startVSwitchAt(t, filepath.Join(testutil.ShortDir(t), "sw"))}
}

func startVSwitchAt(t *testing.T, dir string) *testpeers.Server {
	return testpeers.StartServer(t, dir, testpeers.ProcessConfig{
		Args: []string{testpeers.TestBinary(t)}, Env: []string{switchEnv + "=" + dir},
	})
}

// alternatingSwitch is two programs of which one serves the directory at a time.
type alternatingSwitch struct {
	programs [2]restartable
	turn     int // index of the one that serves
}

func (a *alternatingSwitch) VNL() string { return a.programs[0].VNL() }

func (a *alternatingSwitch) Kill() { a.programs[a.turn].Kill() }

func (a *alternatingSwitch) Restart() {
	a.turn = 1 - a.turn
	a.programs[a.turn].Restart()
}

// serveIfAsked runs a switch and exits if this process was started by
// startVSwitchAt.
func serveIfAsked() {
	dir, ok := os.LookupEnv(switchEnv)
	if !ok {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin) // ends with the test
		cancel()
	}()
	sw := vswitch.New(vswitch.Config{})
	listener, err := sw.Listen(dir)
	if err == nil {
		fmt.Println(testpeers.ReadyLine)
		err = listener.Serve(ctx)
	}
	stop()
	sw.Close()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestTCPSurvivesTheSwitch streams over one TCP connection while the switch is killed
// and started again, and compares the bytes that arrived with those that were sent.
func TestTCPSurvivesTheSwitch(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) restartable
	}{
		{"vde_switch", func(t *testing.T) restartable { return testpeers.StartSwitch(t, testpeers.SwitchConfig{NoMgmt: true}) }},
		{"vswitch", func(t *testing.T) restartable { return startVSwitch(t) }},
		{"in turns", func(t *testing.T) restartable {
			dir := filepath.Join(testutil.ShortDir(t), "sw")
			if err := os.Mkdir(dir, 0o700); err != nil { // or the first program that ends removes it
				t.Fatal(err)
			}
			stock := testpeers.StartSwitch(t, testpeers.SwitchConfig{Dir: dir, NoMgmt: true})
			stock.Kill()
			return &alternatingSwitch{[2]restartable{vswitchProcess{startVSwitchAt(t, dir)}, stock}, 0}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			link, tcp := survive(t, tt.start(t), *restarts)
			t.Logf("%d kills; link outage: %s; TCP outage: %s", *restarts, spread(link), spread(tcp))
		})
	}
}

// spread returns the median, the 90th percentile and the maximum.
func spread(d []time.Duration) string {
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[int(q*float64(len(d)-1)+0.5)].Round(100 * time.Microsecond) }
	return fmt.Sprintf("median %v, p90 %v, max %v", at(0.5), at(0.9), at(1))
}

// A stream is a transfer over TCP that continues until finish.
type stream struct {
	t          *testing.T
	conn       *netstack.TCPConn
	received   atomic.Int64
	arrived    chan struct{} // capacity 1: received has changed
	sent, got  chan [sha256.Size]byte
	stopSender chan struct{}
}

// startStream starts a transfer from b to a.
func startStream(t *testing.T, a, b *netstack.Host) *stream {
	listener, err := a.Listen("tcp4", ":7")
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{
		t: t, arrived: make(chan struct{}, 1), stopSender: make(chan struct{}),
		sent: make(chan [sha256.Size]byte, 1), got: make(chan [sha256.Size]byte, 1),
	}
	go s.receive(listener)
	conn, err := b.DialContext(t.Context(), "tcp", netip.AddrPortFrom(addr4(a), 7).String())
	if err != nil {
		t.Fatal(err)
	}
	s.conn = conn.(*netstack.TCPConn)
	go s.send()
	return s
}

func (s *stream) receive(listener net.Listener) {
	sum := sha256.New()
	defer func() { s.got <- [sha256.Size]byte(sum.Sum(nil)) }()
	c, err := listener.Accept()
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		sum.Write(buf[:n])
		s.received.Add(int64(n))
		select {
		case s.arrived <- struct{}{}:
		default:
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			s.t.Error(err)
			return
		}
	}
}

func (s *stream) send() {
	sum := sha256.New()
	defer func() { s.sent <- [sha256.Size]byte(sum.Sum(nil)) }()
	block := make([]byte, 32<<10)
	rand.NewChaCha8([32]byte{}).Read(block)
	for i := 0; ; i++ {
		select {
		case <-s.stopSender:
			return
		default:
		}
		block[0] = byte(i)
		if _, err := s.conn.Write(block); err != nil {
			s.t.Error(err)
			return
		}
		sum.Write(block)
	}
}

// progress waits until n more bytes have arrived.
func (s *stream) progress(n int64) {
	s.t.Helper()
	mark := s.received.Load()
	hangs := time.After(watchdog)
	for s.received.Load() < mark+n {
		select {
		case <-s.arrived:
		case <-hangs:
			s.t.Fatal("the transfer does not continue")
		}
	}
}

// finish ends the transfer and compares what arrived with what was sent.
func (s *stream) finish() {
	close(s.stopSender)
	wrote := <-s.sent
	if err := s.conn.CloseWrite(); err != nil {
		s.t.Error(err)
	}
	if read := <-s.got; read != wrote {
		s.t.Error("what arrived is not what was sent")
	}
	s.conn.Close()
}

// survive kills and restarts the switch during a transfer. It returns how long the
// link was down each time, for both hosts, and how long it took from each kill to the
// first byte that arrived over the new link.
func survive(t *testing.T, sw restartable, rounds int) (link, tcp []time.Duration) {
	policy := vde.ReconnectPolicy{MinDelay: 5 * time.Millisecond, MaxDelay: 50 * time.Millisecond}
	ups := make(chan time.Duration, 2*rounds)
	var hosts [2]*netstack.Host
	for i := range hosts {
		c, err := vde.Open(t.Context(), sw.VNL(), vde.WithReconnect(policy))
		if err != nil {
			t.Fatal(err)
		}
		defer c.OnLinkChange(func(s vde.LinkState) {
			if s.Up {
				ups <- s.Outage
			}
		})()
		hosts[i] = host(t, c, netstack.HostConfig{})
	}
	s := startStream(t, hosts[0], hosts[1])
	const enough = 1 << 20 // until the windows have grown
	s.progress(enough)
	for range rounds {
		killed := time.Now()
		sw.Kill()
		sw.Restart()
		for range 2 {
			select {
			case outage := <-ups:
				link = append(link, outage)
			case <-time.After(watchdog):
				t.Fatal("the link does not come up")
			}
		}
		s.progress(1)
		tcp = append(tcp, time.Since(killed))
		s.progress(enough)
	}
	s.finish()
	return link, tcp
}
