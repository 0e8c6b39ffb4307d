// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// limit bounds every wait that would otherwise last for ever on a broken switch. Nothing is expected to take a
// noticeable part of it.
const limit = 30 * time.Second

// A network is a switch that one test uses.
type network struct {
	testing.TB
	*suite
	Switch
}

// network starts a switch for the test. At the end, when all stations are gone and the switch still runs, its
// directory must hold what it held at the start.
func (s *suite) network(t testing.TB, cfg Config) *network {
	t.Helper()
	n := s.crashing(t, cfg)
	testutil.NoFiles(t, n.Dir())
	return n
}

// crashing is network for tests that end the switch. The names that the switch leaves in its directory are then
// not checked, those of this process are.
func (s *suite) crashing(t testing.TB, cfg Config) *network {
	t.Helper()
	cfg.Hub = s.Hub
	n := &network{TB: t, suite: s, Switch: s.start(t, cfg)}
	t.Cleanup(func() { noOwnNames(t, n.Dir(), os.Getpid()) })
	return n
}

// noOwnNames checks that no data socket of process pid has a name any more.
func noOwnNames(t testing.TB, dir string, pid int) {
	t.Helper()
	for _, name := range ownNames(dir, pid) {
		t.Errorf("left: %s", name)
	}
}

func ownNames(dir string, pid int) (found []string) {
	for _, pattern := range []string{
		filepath.Join(dir, fmt.Sprintf(".%05d-*", pid)), filepath.Join(dir, ".?"), filepath.Join(dir, ".??"),
		fmt.Sprintf("/var/run/vde.%05d-*", pid), fmt.Sprintf("/var/tmp/vde.%05d-*", pid), fmt.Sprintf("/tmp/vde.%05d-*", pid),
	} {
		names, _ := filepath.Glob(pattern)
		found = append(found, names...)
	}
	return slices.DeleteFunc(found, func(name string) bool { return filepath.Base(name) == ".." })
}

// open joins the network until the test ends.
func (n *network) open(opts ...vde.Option) *vde.Conn {
	n.Helper()
	return n.openAt(n.Dir(), opts...)
}

func (n *network) openAt(vnl string, opts ...vde.Option) *vde.Conn {
	n.Helper()
	c, err := n.tryOpen(vnl, opts...)
	if err != nil {
		n.Fatal(err)
	}
	return c
}

func (n *network) tryOpen(vnl string, opts ...vde.Option) (*vde.Conn, error) {
	n.Helper()
	if n.Sockets {
		opts = append(slices.Clip(opts), overSocket)
	}
	c, err := vde.Open(n.Context(), vnl, opts...)
	if err != nil {
		return nil, err
	}
	n.Cleanup(func() { n.close(c) })
	return c, nil
}

func (n *network) close(c *vde.Conn) {
	n.Helper()
	if err := c.Close(); err != nil {
		n.Errorf("Close: %v", err)
	}
}

// A station is a connection with a MAC.
type station struct {
	*vde.Conn
	mac frame.MAC
}

// station opens a connection that plays the station with MAC mac(i).
func (n *network) station(i byte, opts ...vde.Option) *station {
	n.Helper()
	return &station{n.open(opts...), mac(i)}
}

func mac(i byte) frame.MAC { return frame.MAC{0x02, 0x57, 0, 0, 0, i} }

// testFrame returns a test frame of n bytes.
func testFrame(dst, src frame.MAC, n int, seq uint64) []byte {
	b := make([]byte, n)
	copy(b, dst[:])
	copy(b[6:], src[:])
	testframe.Fill(b, seq)
	return b
}

// write sends frames from c.
func (n *network) write(c *vde.Conn, frames ...[]byte) {
	n.Helper()
	if err := c.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		n.Fatal(err)
	}
	if k, err := c.WriteBatch(frames); k != len(frames) || err != nil {
		n.Fatalf("%d of %d frames sent: %v", k, len(frames), err)
	}
}

// read receives one frame.
func (n *network) read(c *vde.Conn) []byte {
	n.Helper()
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		n.Fatal(err)
	}
	buf := make([]byte, n.MaxFrame+1000)
	k, err := c.Read(buf)
	if err != nil {
		n.Fatal(err)
	}
	return buf[:k]
}

// expect receives one frame, which must be want.
func (n *network) expect(who string, c *vde.Conn, want []byte) {
	n.Helper()
	n.same(who, n.read(c), want)
}

func (n *network) same(who string, got, want []byte) {
	n.Helper()
	if !bytes.Equal(got, want) {
		n.Fatalf("%s received %d bytes % x, want %d bytes % x", who, len(got), short(got), len(want), short(want))
	}
}

func short(b []byte) []byte { return b[:min(len(b), 40)] }

// window returns how many frames of the given size may be on their way at once without filling a queue of
// Linux's default length even if nobody reads it.
func window(size int) int { return max(1, min(32, 100_000/(2*size+1024))) }

// sizes returns the frame sizes of interest, up to what the switch takes.
func (s *suite) sizes() []int {
	sizes := []int{60, 64, 590, 1514, s.MaxFrame}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

// A changes reports that something has changed in a directory.
type changes interface {
	next() error // waits for the next change
	close()
}

// watch watches the switch's directory until the test ends.
func (n *network) watch() changes {
	n.Helper()
	w, err := watchDir(n.Dir())
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(w.close)
	return w
}

// until waits until cond holds for the names in the switch's directory.
func (n *network) until(w changes, what string, cond func(names []string) bool) {
	n.Helper()
	for {
		names := n.names()
		if cond(names) {
			return
		}
		if err := w.next(); err != nil {
			n.Fatalf("waiting for %s: %v; the directory holds %q", what, err, names)
		}
	}
}

func (n *network) names() (names []string) {
	n.Helper()
	entries, err := os.ReadDir(n.Dir())
	if err != nil {
		n.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// closeAndWait closes connections and waits until the switch has noticed, which it shows by removing their sockets.
// When one connection closes while another opens, vde_switch 2.3.2 can lose track of the latter.
func (n *network) closeAndWait(w changes, before []string, conns ...*vde.Conn) {
	n.Helper()
	for _, c := range conns {
		n.close(c)
	}
	n.until(w, "the switch to notice that an endpoint has gone", func(names []string) bool {
		return slices.Equal(names, before)
	})
}

// overSocket is for a station whose queue has to be looked at from outside.
var overSocket = vde.WithSharedMemory(vde.SharedMemoryNever)

// settle waits until the switch has taken what c, a station over a socket, had sent: what it has taken no longer
// counts against c's queue. A switch that does one thing at a time and then answers a new client has forwarded it
// too; for one that is Concurrent, see passedOn. If others keep sending through c, settle gives up after the given
// number of rounds.
func (n *network) settle(c *vde.Conn, rounds int) {
	n.Helper()
	w := n.watch()
	for range rounds {
		queued, err := queuedBytes(c)
		if err != nil {
			n.Fatal(err)
		}
		n.round(w)
		if queued == 0 {
			return
		}
	}
}

// passedOn waits until the switch has forwarded what a had sent, by sending two frames to witness, one after the
// other. The first may be forwarded together with what a sent before it, in any order; the second is taken after all
// of that has been forwarded.
func (n *network) passedOn(a, witness *station) {
	n.Helper()
	for seq := range uint64(2) {
		f := testFrame(witness.mac, a.mac, 100, seq)
		n.write(a.Conn, f)
		for !bytes.Equal(n.read(witness.Conn), f) {
			// A hub shows the witness what others exchange.
		}
	}
}

// round makes the switch handle everything that is ready once, by joining and leaving.
func (n *network) round(w changes) {
	n.Helper()
	before := n.names()
	c, err := vde.Open(n.Context(), n.Dir())
	if err != nil {
		n.Fatal(err)
	}
	n.closeAndWait(w, before, c)
}

// peer starts a C program on the network.
func (n *network) peer(cfg testpeers.CPeerConfig) *testpeers.CPeer {
	n.Helper()
	cfg.Network = n.Dir()
	return testpeers.StartCPeer(n, cfg)
}

// await waits until a C peer has received and sent so many frames in all.
func (n *network) await(p *testpeers.CPeer, frames uint64) {
	n.Helper()
	if r, err := p.Await(n.Context(), frames); err != nil {
		n.Fatalf("waiting for %d frames: %v (%+v)", frames, err, r)
	}
}

// finish ends a C peer, waits until the switch has noticed, and returns the peer's figures.
func (n *network) finish(p *testpeers.CPeer) testpeers.CPeerResult {
	n.Helper()
	w, err := watchDir(n.Dir())
	if err != nil {
		n.Fatal(err)
	}
	defer w.close()
	before := len(n.names())
	r, err := p.Finish(n.Context())
	if err != nil {
		n.Fatal(err)
	}
	n.until(w, "the switch to notice that a C peer has gone", func(names []string) bool { return len(names) < before })
	return r
}

// ports returns the port list of the switch, if it offers one.
func (n *network) ports() (PortLister, bool) {
	p, ok := n.Switch.(PortLister)
	return p, ok
}

// failed checks that err matches want.
func (n *network) failed(what string, err, want error) {
	n.Helper()
	if !errors.Is(err, want) {
		n.Errorf("%s: error %v, want one that matches %q", what, err, want)
	}
}

// ended waits for the end of c and checks its cause.
func (n *network) ended(who string, c *vde.Conn) {
	n.Helper()
	select {
	case <-c.Context().Done():
	case <-time.After(limit):
		n.Fatalf("%s: the context goes on though the switch has gone", who)
	}
	if cause := context.Cause(c.Context()); cause != vde.ErrHangup {
		n.Errorf("%s: the context's cause is %v, want ErrHangup", who, cause)
	}
	if err := c.Err(); err != vde.ErrHangup {
		n.Errorf("%s: Err is %v, want ErrHangup", who, err)
	}
}

// exchange sends a frame from a to b and one back.
//
// It also gives the switch time to notice what has ended before. vde_switch 2.3.2 needs that between the end of any
// connection, be it a refused one or that of its console, and the next newcomer, of whom it may otherwise lose track;
// and having passed on two frames, one after the other, it has been once through its work.
func (n *network) exchange(a, b *station) {
	n.Helper()
	f := testFrame(b.mac, a.mac, 100, 1)
	n.write(a.Conn, f)
	n.expect("b", b.Conn, f)
	f = testFrame(a.mac, b.mac, 101, 2)
	n.write(b.Conn, f)
	n.expect("a", a.Conn, f)
}

// hidden returns the names that begin with a dot: data sockets of clients.
func hidden(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(s string) bool { return !strings.HasPrefix(s, ".") })
}
