// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A CPeerRole is what a [CPeer] does.
type CPeerRole string

const (
	CSource CPeerRole = "source" // sends test frames from MAC to Peer after Begin
	CFlood  CPeerRole = "flood"  // is a source that sends its first frame Count times
	CSink   CPeerRole = "sink"   // receives and checks test frames
	CCount  CPeerRole = "count"  // receives any frames and only counts them
	CEcho   CPeerRole = "echo"   // sends each frame back, its addresses exchanged
)

// A CPeerConfig describes a C peer. The zero value of each field but Role and Network is a default.
type CPeerConfig struct {
	Role    CPeerRole
	Network string // locator or directory

	// These three are passed to vde_open beside the locator.
	Port  int // 0: any; negative: port 0
	Group string
	Mode  fs.FileMode // default 0700

	Descr string // default "cpeer"

	// MAC is the peer's address. A source needs it. An echo with an address answers frames for it and for
	// groups only; an echo without one answers every unicast frame.
	MAC [6]byte

	Peer  [6]byte       // source: where to send
	Count uint64        // source: frames to send; others: frames after which to end; 0: until Finish
	First uint64        // source, sink: the first sequence number
	Size  int           // source: bytes per frame, at least MinSize; default 60
	Burst int           // source: frames to send before a pause of Gap; 0: no pauses
	Gap   time.Duration // source: in microseconds' resolution

	User *Credential // who runs it
}

// A CPeerResult is what a CPeer has done.
type CPeerResult struct {
	Frames     uint64 // received; by a sink: good test frames, duplicates not included; by an echo: answered
	Bytes      uint64 // in Frames
	Lost       uint64 // sink: numbers between First and the highest seen that did not come in a good frame
	Duplicates uint64 // sink: good test frames that had been seen before
	Late       uint64 // sink: good test frames that came after one with a higher number
	Corrupt    uint64 // sink: test frames with wrong content, length or number
	Other      uint64 // sink: other frames; echo: frames not meant for it
	Sent       uint64
	SentBytes  uint64
	Full       uint64        // times a send had to wait because the queue was full
	SendErrors uint64        // sends that failed for another reason
	Elapsed    time.Duration // since the first frame
	Reason     string        // why it ended: "count", "stop", "eof", "hangup", "recv" or "poll"
}

// A CPeer is a small C program on libvdeplug, an independent peer for tests of Go code. Its source is
// cpeers/peer.c, which also describes the lines that it exchanges with the test.
type CPeer struct {
	*Process
	cfg CPeerConfig
	out *os.File // its standard output

	mu    sync.Mutex // serializes reading
	lines *bufio.Reader
	part  string       // the beginning of a line
	done  *CPeerResult // the last report, once it has come
}

// A CPeerError is the failure of vde_open. libvdeplug often leaves errno at 0, "Success".
type CPeerError struct {
	Errno syscall.Errno
	Text  string
}

func (e *CPeerError) Error() string {
	return fmt.Sprintf("testpeers: vde_open: %s (%d)", e.Text, int(e.Errno))
}
func (e *CPeerError) Unwrap() error { return e.Errno }

// NewCPeer prepares a C peer, compiling the program if this has not been done before. Start must follow.
func NewCPeer(t testing.TB, cfg CPeerConfig) *CPeer {
	t.Helper()
	needRealPeers(t, "gcc", "libvdeplug.h")
	program := cpeerProgram(t)
	if cfg.User != nil {
		// The cache may lie in a directory that the user cannot enter.
		program = copyProgram(t, program)
	}
	args := []string{program, string(cfg.Role), cfg.Network}
	add := func(given bool, option string, value any) {
		if given {
			args = append(args, option, fmt.Sprint(value))
		}
	}
	add(cfg.Port != 0, "--port", cfg.Port)
	add(cfg.Group != "", "--group", cfg.Group)
	add(cfg.Mode != 0, "--mode", strconv.FormatUint(uint64(cfg.Mode), 8))
	add(cfg.Descr != "", "--descr", cfg.Descr)
	add(cfg.MAC != [6]byte{}, "--src", net.HardwareAddr(cfg.MAC[:]))
	add(cfg.Peer != [6]byte{}, "--dst", net.HardwareAddr(cfg.Peer[:]))
	add(cfg.Count != 0, "--count", cfg.Count)
	add(cfg.First != 0, "--first", cfg.First)
	add(cfg.Size != 0, "--size", cfg.Size)
	add(cfg.Burst != 0, "--burst", cfg.Burst)
	add(cfg.Gap != 0, "--gap", cfg.Gap.Microseconds())

	out, childOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); childOut.Close() })
	c := &CPeer{cfg: cfg, out: out, lines: bufio.NewReader(out)}
	c.Process = newProcess(t, ProcessConfig{Args: args, User: cfg.User, stdout: childOut})
	return c
}

// StartCPeer is NewCPeer and Start; failure to join fails the test.
func StartCPeer(t testing.TB, cfg CPeerConfig) *CPeer {
	t.Helper()
	c := NewCPeer(t, cfg)
	if err := c.Start(context.Background()); err != nil {
		t.Fatalf("C peer %s: %v", cfg.Role, err)
	}
	return c
}

// Start starts the program and returns when it has joined its network, or with a [*CPeerError] if vde_open
// failed. A switch may leave vde_open without an answer; without a deadline in ctx, Start waits 30 seconds.
// A CPeer is started once.
func (c *CPeer) Start(ctx context.Context) error {
	if c.current() != nil {
		return errors.New("testpeers: this C peer has been started before")
	}
	if err := c.Process.start(); err != nil {
		return err
	}
	// The program has a copy. Once ours is closed, the output ends when the program does.
	c.Process.cfg.stdout.Close()
	_, err := c.expect(ctx, "ready")
	return err
}

// Begin tells a source to start sending.
func (c *CPeer) Begin() error { return c.tell("go") }

// Await waits until the peer has received and sent at least n frames in all, and returns its figures at that
// moment.
func (c *CPeer) Await(ctx context.Context, n uint64) (CPeerResult, error) {
	return c.ask(ctx, fmt.Sprintf("await %d", n), "reached")
}

// Report returns the figures of this moment.
func (c *CPeer) Report(ctx context.Context) (CPeerResult, error) {
	return c.ask(ctx, "report", "report")
}

// Wait waits until the peer has done its work (Count frames, or a hangup) and returns the final figures. A peer
// that has sent or received Count frames stays on the network until Finish, Stop or the end of the test: a
// switch loses the frames that it has not read yet when their sender leaves.
func (c *CPeer) Wait(ctx context.Context) (CPeerResult, error) { return c.expect(ctx, "done") }

// Finish tells the peer to take what is queued for it and to leave the network, waits until it has ended, and
// returns the final figures. After the end it returns the same again.
func (c *CPeer) Finish(ctx context.Context) (CPeerResult, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := c.tell("stop"); err != nil {
		return CPeerResult{}, err
	}
	r, err := c.expect(ctx, "done")
	if err != nil {
		return r, err
	}
	return r, c.Process.Wait(ctx)
}

// tell writes a line. It is no error if the peer has ended: its output can still be read.
func (c *CPeer) tell(line string) error {
	_, err := io.WriteString(c.current().stdin, line+"\n")
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

func (c *CPeer) ask(ctx context.Context, line, word string) (CPeerResult, error) {
	if err := c.tell(line); err != nil {
		return CPeerResult{}, err
	}
	return c.expect(ctx, word)
}

// expect reads lines up to one that starts with word. If the peer ends before, its final figures come with the
// error.
func (c *CPeer) expect(ctx context.Context, word string) (CPeerResult, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer deadlineOnDone(ctx, c.out)()
	for c.done == nil {
		part, err := c.lines.ReadString('\n')
		c.part += part
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return CPeerResult{}, fmt.Errorf("testpeers: waiting for the C peer's %q: %w\n%s", word, err, c.Log())
		}
		line := strings.TrimSuffix(c.part, "\n")
		c.part = ""
		got, rest, _ := strings.Cut(line, " ")
		switch got {
		case "error":
			number, text, _ := strings.Cut(rest, " ")
			errno, _ := strconv.Atoi(number)
			return CPeerResult{}, &CPeerError{Errno: syscall.Errno(errno), Text: text}
		case "done":
			r, err := parseCPeerResult(rest)
			if err != nil {
				return CPeerResult{}, err
			}
			c.done = &r
		case word:
			return parseCPeerResult(rest)
		}
	}
	if word != "done" {
		return *c.done, fmt.Errorf("testpeers: the C peer ended (%s) before it was %q", c.done.Reason, word)
	}
	return *c.done, nil
}

func parseCPeerResult(s string) (r CPeerResult, err error) {
	var ns uint64
	numbers := map[string]*uint64{
		"frames": &r.Frames, "bytes": &r.Bytes, "lost": &r.Lost, "duplicates": &r.Duplicates, "late": &r.Late,
		"corrupt": &r.Corrupt, "other": &r.Other, "sent": &r.Sent, "sentbytes": &r.SentBytes, "full": &r.Full,
		"senderrors": &r.SendErrors, "ns": &ns,
	}
	for _, field := range strings.Fields(s) {
		name, value, _ := strings.Cut(field, "=")
		if name == "reason" {
			r.Reason = value
		} else if p, ok := numbers[name]; !ok {
			return r, fmt.Errorf("testpeers: unknown name of a C peer's figure: %q", field)
		} else if *p, err = strconv.ParseUint(value, 10, 64); err != nil {
			return r, err
		}
	}
	r.Elapsed = time.Duration(ns)
	return r, nil
}

//go:embed cpeers/peer.c
var cpeerSource []byte

var cpeerCompiled struct {
	sync.Mutex
	path string
}

// cpeerProgram returns the path of the compiled C peer. The program is kept in the user's cache directory under
// a name made from its source, so that it is compiled once and not once per test binary; binaries that
// compile it at the same time replace each other's result with an equal one.
func cpeerProgram(t testing.TB) string {
	t.Helper()
	cpeerCompiled.Lock()
	defer cpeerCompiled.Unlock()
	if cpeerCompiled.path != "" {
		if _, err := os.Stat(cpeerCompiled.path); err == nil {
			return cpeerCompiled.path
		}
	}
	flags := []string{"-O2", "-Wall", "-Wextra", "-Werror"}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", cpeerSource, strings.Join(flags, " "), runtime.GOARCH))
	name := fmt.Sprintf("cpeer-%x", sum[:8])

	cache, err := os.UserCacheDir()
	if err == nil {
		cache = filepath.Join(cache, "go-vde")
		err = os.MkdirAll(cache, 0o700)
	}
	if err != nil {
		// No cache: compile for this test alone. A well-known place in /tmp would let others plant a program.
		path := filepath.Join(t.TempDir(), name)
		compileC(t, path, flags)
		return path
	}
	path := filepath.Join(cache, name)
	if _, err := os.Stat(path); err != nil {
		compileC(t, path, flags)
	}
	cpeerCompiled.path = path
	return path
}

// compileC compiles the C peer into path, which appears whole or not at all.
func compileC(t testing.TB, path string, flags []string) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(path), "build")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	source, program := filepath.Join(dir, "peer.c"), filepath.Join(dir, "peer")
	if err := os.WriteFile(source, cpeerSource, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(append([]string(nil), flags...), "-o", program, source, "-lvdeplug")
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	if err := os.Rename(program, path); err != nil {
		t.Fatal(err)
	}
}
