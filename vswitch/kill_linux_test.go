// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/switchtest"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// kills is how often each of the tests here kills.
var kills = flag.Int("kills", 20, "how often each test of kills kills a process that shares memory with this one; with -short at most 3")

// numKills returns how often a test kills.
func numKills() int {
	if testing.Short() {
		return min(*kills, 3)
	}
	return *kills
}

// clientEnv tells this test binary to be a client of the switch in the directory
// that is its value.
const clientEnv = "GO_VDE_VSWITCH_CLIENT"

// askEnv and answerEnv are clientEnv for one that asks, and for one that answers.
const (
	askEnv    = "GO_VDE_VSWITCH_ASK"
	answerEnv = "GO_VDE_VSWITCH_ANSWER"
)

var (
	victim  = frame.MAC{2, 0, 0, 0, 0, 1} // is killed
	witness = frame.MAC{2, 0, 0, 0, 0, 2} // talks with it
)

// beClient sends to the witness, and reads, as fast as it can until its standard
// input ends.
func beClient(dir string) error {
	c, err := openChild(dir)
	if err != nil {
		return err
	}
	go flood(c, victim, witness)
	return drain(c, nil)
}

// openChild joins the switch in dir with shared memory. The process ends with its
// standard input.
func openChild(dir string) (*vde.Conn, error) {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	c, err := vde.Open(context.Background(), dir, vde.WithSharedMemory(vde.SharedMemoryAlways))
	if err != nil {
		return nil, err
	}
	if !c.Caps().SharedMemory {
		return nil, errors.New("no shared memory")
	}
	return c, nil
}

// beAsker asks and waits for the answer, again and again. An answer that does not
// come is not waited for: who gives it may be dead.
func beAsker(dir string) error {
	const patience = 20 * time.Millisecond
	c, err := openChild(dir)
	if err != nil {
		return err
	}
	question, answer := shortFrame(witness, victim), make([]byte, frame.DefaultMaxSize)
	for {
		if _, err := c.Write(question); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := c.Read(answer); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// beAnswerer answers.
func beAnswerer(dir string) error {
	c, err := openChild(dir)
	if err != nil {
		return err
	}
	question, answer := make([]byte, frame.DefaultMaxSize), shortFrame(victim, witness)
	for {
		if _, err := c.Read(question); err != nil {
			return err
		}
		if _, err := c.Write(answer); err != nil {
			return err
		}
	}
}

func shortFrame(dst, src frame.MAC) []byte {
	f := make([]byte, 60)
	frame.PutHeader(f, dst, src, frame.EtherTypeExperimental)
	testframe.Fill(f, 1)
	return f
}

// flood sends batches of frames of many sizes until that fails.
func flood(c *vde.Conn, from, to frame.MAC) error {
	var batch [][]byte
	for i := range 32 {
		f := make([]byte, 60+i*i*8)
		frame.PutHeader(f, to, from, frame.EtherTypeExperimental)
		testframe.Fill(f, uint64(i))
		batch = append(batch, f)
	}
	for {
		if _, err := c.WriteBatch(batch); err != nil {
			return err
		}
	}
}

// drain reads until that fails. It checks each frame and passes the number of
// those of a batch to got, if that is not nil.
func drain(c *vde.Conn, got func(n int)) error {
	bufs, windows := make([][]byte, 64), make([][]byte, 64)
	for i := range bufs {
		bufs[i] = make([]byte, frame.DefaultMaxSize)
	}
	for {
		copy(windows, bufs)
		n, err := c.ReadBatch(windows)
		if err != nil {
			return err
		}
		for _, f := range windows[:n] {
			if _, err := testframe.Check(f); err != nil {
				return fmt.Errorf("a frame of %d bytes: %w", len(f), err)
			}
		}
		if got != nil {
			got(n)
		}
	}
}

// A countdown tells when so many frames have come.
type countdown struct {
	mu   sync.Mutex
	left int
	done chan struct{}
}

// start begins anew with n.
func (c *countdown) start(n int) (done <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.done = n, make(chan struct{})
	return c.done
}

func (c *countdown) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.left; before > 0 {
		if c.left -= n; c.left <= 0 {
			close(c.done)
		}
	}
}

// randomKills returns a source of the random moments of a test.
func randomKills(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestKilledClient kills clients, in the middle of traffic in both directions
// through shared memory, after a random number of frames. The switch pulls the
// endpoint, keeps nothing of it, and goes on serving.
func TestKilledClient(t *testing.T) {
	testutil.NoLeaks(t)
	rnd := randomKills(t)
	h := startHere(t, switchtest.Config{}).(*hereHandle)
	t.Cleanup(func() {
		h.stop()
		if n := vswitch.Live(h.sw); n != 0 {
			t.Errorf("%d buffers live", n)
		}
	})
	c := open(t, h.dir)
	if !c.Caps().SharedMemory {
		t.Fatal("no shared memory")
	}
	var frames countdown
	var wg sync.WaitGroup
	read, sent := make(chan error, 1), make(chan error, 1)
	wg.Go(func() { read <- drain(c, frames.count) })
	wg.Go(func() { sent <- flood(c, witness, victim) })
	for i := range numKills() {
		came := frames.start(1 + rnd.IntN(5000))
		p := testpeers.StartProcess(t, testpeers.ProcessConfig{
			Args: []string{testpeers.TestBinary(t)},
			Env:  []string{clientEnv + "=" + h.dir, "GORACE=atexit_sleep_ms=0"},
		})
		var early <-chan time.Time
		if rnd.IntN(4) == 0 { // at any point of its joining, too
			early = time.After(time.Duration(rnd.IntN(30)) * time.Millisecond)
		}
		select {
		case <-came:
		case <-early:
		case err := <-read:
			t.Fatalf("kill %d: the witness: %v", i, err)
		}
		p.Kill()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ports, err := h.WaitPorts(ctx, func(ports []testpeers.SwitchPort) bool {
			endpoints := 0
			for _, p := range ports {
				endpoints += len(p.Endpoints)
			}
			return endpoints == 1
		})
		cancel()
		if err != nil {
			t.Fatalf("kill %d: %v; ports: %+v", i, err, ports)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for _, err := range []error{<-read, <-sent} {
		if !errors.Is(err, vde.ErrHangup) && !errors.Is(err, os.ErrClosed) && c.Err() == nil {
			t.Errorf("the witness: %v", err)
		}
	}
}

// TestKilledSwitch kills switches, in the middle of traffic through shared
// memory, after a random number of frames: both clients end with the reason.
func TestKilledSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	rnd := randomKills(t)
	for i := range numKills() {
		func() {
			h := startChild(t, switchtest.Config{})
			var conns [2]*vde.Conn
			for i := range conns {
				conns[i] = open(t, h.Dir())
				if !conns[i].Caps().SharedMemory {
					t.Fatal("no shared memory")
				}
			}
			a, b := conns[0], conns[1]
			var frames countdown
			came := frames.start(1 + rnd.IntN(5000))
			var wg sync.WaitGroup
			errs := make(chan error, 4)
			wg.Go(func() { errs <- drain(b, frames.count) })
			wg.Go(func() { errs <- drain(a, nil) })
			wg.Go(func() { errs <- flood(a, victim, witness) })
			wg.Go(func() { errs <- flood(b, witness, victim) })
			<-came
			h.(switchtest.Killer).Kill()
			wg.Wait()
			for range cap(errs) {
				if err := <-errs; !errors.Is(err, vde.ErrHangup) {
					t.Errorf("kill %d: %v", i, err)
				}
			}
			for _, c := range conns {
				<-c.Context().Done()
				if !errors.Is(c.Err(), vde.ErrHangup) {
					t.Errorf("kill %d: ended with %v", i, c.Err())
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
}

// TestKilledInExchange kills one of two clients that ask and answer, while the
// switch polls for both, after a random number of answers. The exchange goes on when
// there is another one in its place.
func TestKilledInExchange(t *testing.T) {
	testutil.NoLeaks(t)
	rnd := randomKills(t)
	sw := vswitch.New(vswitch.Config{})
	dir := serve(t, sw)
	var answers countdown
	tap, err := sw.Monitor(1)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = countAnswers(tap, answers.count) // until the end
	})
	t.Cleanup(func() {
		sw.Close()
		tap.Close()
		wg.Wait()
		if n := vswitch.Live(sw); n != 0 {
			t.Errorf("%d buffers live", n)
		}
	})
	start := func(env, port string) *testpeers.Process {
		return testpeers.StartProcess(t, testpeers.ProcessConfig{
			Args: []string{testpeers.TestBinary(t)},
			Env:  []string{env + "=" + dir + "[" + port + "]", "GORACE=atexit_sleep_ms=0"},
		})
	}
	asker, answerer := start(askEnv, "1"), start(answerEnv, "2")
	for i := range numKills() {
		select {
		case <-answers.start(1 + rnd.IntN(2000)):
		case <-time.After(time.Minute):
			t.Fatalf("kill %d: the exchange stands still: %+v", i, sw.Stats())
		}
		if rnd.IntN(2) == 0 {
			asker.Kill()
			asker = start(askEnv, "1")
		} else {
			answerer.Kill()
			answerer = start(answerEnv, "2")
		}
	}
}

// countAnswers reads what passes at the asker's port until that fails, and passes the
// number of answers to got.
func countAnswers(c *vde.Conn, got func(n int)) error {
	buf := make([]byte, frame.DefaultMaxSize)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		if frame.Frame(buf[:n]).Dst() == victim {
			got(1)
		}
	}
}
