// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A topTest is a running vde top, whose keys are written and whose page is read.
type topTest struct {
	keys io.Writer
	stop context.CancelFunc
	done chan error

	mu      sync.Mutex
	page    string        // guarded by mu
	changed chan struct{} // guarded by mu; closed when page changes
}

// startTop runs vde top on net in a terminal of width x height until the test ends.
func startTop(t *testing.T, net string, width, height int) *topTest {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, keys := io.Pipe()
	p := &topTest{keys: keys, stop: cancel, done: make(chan error, 1), changed: make(chan struct{})}
	o := newControlOption()
	dial := func(ctx context.Context) (*api.Client, error) { return o.dial(ctx, []string{net}) }
	go func() {
		p.done <- runTop(ctx, dial, func(m *topProgram) []tea.ProgramOption {
			m.drawn, m.times = p.drawn, topTimes{interval: 100 * time.Millisecond, retry: 10 * time.Millisecond, pause: 10 * time.Millisecond}
			return []tea.ProgramOption{tea.WithInput(in), tea.WithOutput(io.Discard), tea.WithWindowSize(width, height)}
		})
	}()
	t.Cleanup(func() {
		cancel()
		keys.Close()
		if err := <-p.done; err != nil {
			t.Error(err)
		}
		close(p.done)
	})
	return p
}

func (p *topTest) drawn(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text = ansi.Strip(text); text != p.page {
		p.page = text
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// await waits until the page has what the expression want says, and returns what it
// matches.
func (p *topTest) await(t *testing.T, want string) []string {
	t.Helper()
	expression := regexp.MustCompile("(?m)" + want)
	hang := time.NewTimer(time.Minute)
	defer hang.Stop()
	for {
		p.mu.Lock()
		page, changed := p.page, p.changed
		p.mu.Unlock()
		if m := expression.FindStringSubmatch(page); m != nil {
			return m
		}
		select {
		case <-changed:
		case <-hang.C:
			t.Fatalf("no %s in\n%s", want, page)
		}
	}
}

// press types keys.
func (p *topTest) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(p.keys, keys); err != nil {
		t.Fatal(err)
	}
}

// TestTop watches a switch and changes it, all by keys.
func TestTop(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	p := startTop(t, l.dir, 160, 50)
	p.await(t, `^ +1 station a \(shared-memory\) +0 `)
	p.await(t, `^ +2 station\?\[2Jb \(shared-memory\) `) // what could clear the screen is no control character
	p.await(t, `ports 2 of \d+  endpoints 2  FDB 2`)
	p.await(t, `attached    port 2 endpoint 2, shared-memory, station\?`)

	p.press(t, "\r")
	p.await(t, `^frames in +3 .*copies out +1 `)
	p.await(t, `^dropped, vlan +1 `)
	l.send(t, l.b, l.a, station(1), 2)
	p.await(t, `copies out +2 `)
	p.press(t, "\r")

	p.press(t, "m5\r")
	p.await(t, `^Port 1 is mirrored to port 5\.`)
	p.await(t, `^ +1 station a .* M *$`)
	p.await(t, `mirrored    port 1 \(other port 5\)`)
	p.press(t, "my")
	p.await(t, `^Port 1 is no longer mirrored to port 5\.`)
	p.await(t, `unmirrored `)

	p.press(t, "ivlan=10\r")
	p.await(t, `^Port 1 has been set to vlan=10\.`)
	p.await(t, `^ +1 station a \(shared-memory\) +10 `)
	p.press(t, "icolour=red\r")
	p.await(t, `unknown setting "colour"`)
	p.press(t, "m9999\r")
	p.await(t, `9999`)

	p.press(t, "/station?\r")
	p.await(t, `^ +2 station\?.*\n *\n`)
	p.press(t, "dy")
	<-l.b.Context().Done()
	p.await(t, `^Port 2 has been disconnected\.`)
	p.await(t, `^No port has that text\.`)
	p.press(t, "q")
	if err := <-p.done; err != nil {
		t.Error(err)
	}
	p.done <- nil // for the end of the test
}

// TestTopRates checks that there are rates while frames are sent, and that the totals of the
// page are those of the switch.
func TestTopRates(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	p := startTop(t, l.dir, 160, 50)
	p.await(t, `in 0 frames/s`)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sent := make(chan int, 1)
	go func() {
		f := make([]byte, 100)
		frame.PutHeader(f, station(2), station(1), 0x88b5)
		n := 0
		for ctx.Err() == nil {
			if _, err := l.a.Write(f); err != nil {
				break
			}
			n++
			if _, err := l.b.Read(make([]byte, 2000)); err != nil {
				break
			}
		}
		sent <- n
	}()
	p.await(t, `^in [1-9]\S* frames/s [1-9]\S* bit/s  out [1-9]`)
	stop()
	frames := <-sent + 3 // and those of the lab
	p.press(t, "\r")
	p.await(t, fmt.Sprintf(`^frames in +%d `, frames))
	c, err := api.Dial(t.Context(), l.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := uint32(1)
	answer, err := c.GetPort(t.Context(), &pb.GetPortRequest{Port: &n})
	if err != nil {
		t.Fatal(err)
	}
	in := answer.GetPort().GetStats().GetIn()
	if in.GetFrames() != uint64(frames) {
		t.Errorf("the switch has counted %d frames, want %d", in.GetFrames(), frames)
	}
	p.await(t, fmt.Sprintf(`^bytes in +%d `, in.GetBytes()))
}

// TestTopReconnects ends the switch under the page, and starts another one.
func TestTopReconnects(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	_, stop := startSwitch(t, dir)
	p := startTop(t, dir, 100, 30)
	p.await(t, `^Nothing is attached`)
	stop()
	p.await(t, `^No answer from the switch, trying again: .+`)
	p.press(t, "d")
	p.await(t, `^Nothing can be changed while the switch does not answer`)
	startSwitch(t, dir)
	c, err := vde.Open(t.Context(), dir, vde.WithDescription("station c"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.await(t, `^ +1 station c`)
	p.await(t, `reached the switch again`)
	f := make([]byte, 100)
	frame.PutHeader(f, frame.Broadcast(), station(3), 0x88b5)
	if _, err := c.Write(f); err != nil {
		t.Fatal(err)
	}
	p.press(t, "\r")
	p.await(t, `^frames in +1 `)
}

// TestTopReadOnly checks that a page of an API which only shows the switch says so.
func TestTopReadOnly(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	log, _ := startSwitch(t, dir, "--http", "127.0.0.1:0")
	url := regexp.MustCompile(`http://\S+`).FindString(log.String())
	c := openNet(t, dir)
	defer c.Close()
	p := startTop(t, url, 100, 30)
	p.await(t, `read-only .*endpoints 1 `)
	p.press(t, "d")
	p.await(t, `^This switch can only be looked at here`)
}

// TestTopStops checks that the end of the context is no failure.
func TestTopStops(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	p := startTop(t, l.dir, 20, 5)
	p.await(t, `PORT`)
	p.stop() // the end of the test reads the error
}

// TestTopErrors checks what says that there is no terminal, or no switch with an API.
func TestTopErrors(t *testing.T) {
	testutil.NoLeaks(t)
	out, err := execute(t.Context(), "top", "/nowhere")
	if err == nil || !strings.Contains(err.Error(), "vde stats --watch") || !strings.Contains(err.Error(), "--json") {
		t.Errorf("not a terminal: %v\n%s", err, out)
	}
	for _, name := range []string{"", "dumb"} {
		if err := checkTerminal(func(string) string { return name }); err == nil || !strings.Contains(err.Error(), "vde stats --watch") {
			t.Errorf("TERM=%s: %v", name, err)
		}
	}
	if err := checkTerminal(func(string) string { return "xterm" }); err != nil {
		t.Error(err)
	}
	dial := func(ctx context.Context) (*api.Client, error) { return dialAPI(ctx, "/nowhere") }
	if err := runTop(t.Context(), dial); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("no switch: %v", err)
	}
}

// TestBlocks checks for which terminals the page draws in ASCII.
func TestBlocks(t *testing.T) {
	for text, want := range map[string]bool{
		"LANG=C.UTF-8": true, "LANG=de_DE.utf8 LC_ALL=C": false, "LC_CTYPE=en_US.UTF-8 LANG=C": true, "": false, "LANG=C.UTF-8 TERM=linux": false,
	} {
		env := make(map[string]string)
		for _, pair := range strings.Fields(text) {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		if got := hasBlocks(func(name string) string { return env[name] }); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestTopSilentSwitch watches a switch that takes connections and says nothing.
func TestTopSilentSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	path := filepath.Join(testutil.ShortDir(t), "api")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	o := newControlOption()
	go func() {
		done <- runTop(ctx, func(ctx context.Context) (*api.Client, error) { return o.dial(ctx, []string{path}) })
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
