// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/internal/testpeers"
)

// A build makes a program of testdata once.
type build struct {
	needs []string
	make  func(path string) *exec.Cmd
	once  sync.Once
	err   error
}

// The endpoints that are processes of their own.
var builds = map[string]*build{
	"cpair": {needs: []string{"gcc"}, make: func(path string) *exec.Cmd {
		return exec.Command("gcc", "-O2", "-Wall", "-o", path, "testdata/cendpoint/endpoint.c", "-lpthread")
	}},
	"cvde": {needs: []string{"gcc", "libvdeplug.h"}, make: func(path string) *exec.Cmd {
		return exec.Command("gcc", "-O2", "-Wall", "-DVDE", "-o", path, "testdata/cendpoint/endpoint.c", "-lvdeplug", "-lpthread")
	}},
	"govde": {needs: []string{"go"}, make: func(path string) *exec.Cmd {
		return exec.Command("go", append(testpeers.GoBuild(), "-o", path, "./testdata/goendpoint")...)
	}},
	"gohost": {needs: []string{"go"}, make: func(path string) *exec.Cmd {
		return exec.Command("go", append(testpeers.GoBuild(), "-o", path, "./testdata/gohost")...)
	}},
	"vde": {needs: []string{"go"}, make: func(path string) *exec.Cmd {
		return exec.Command("go", append(testpeers.GoBuild(), "-o", path, "../cmd/vde")...)
	}},
	"cgovde": {needs: []string{"go", "gcc", "libvdeplug.h"}, make: func(path string) *exec.Cmd {
		cmd := exec.Command("go", append(testpeers.GoBuild(), "-o", path, "./testdata/cgoendpoint")...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		return cmd
	}},
}

// program returns the path of a program, which it compiles at its first use.
func program(t testing.TB, name string) string {
	t.Helper()
	b := builds[name]
	testpeers.Need(t, b.needs...)
	path := filepath.Join(programs, name)
	b.once.Do(func() {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if b.err = os.MkdirAll(programs, 0o777); b.err != nil {
			return
		}
		cmd := b.make(path + ".new")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
			return
		}
		b.err = os.Rename(path+".new", path)
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return path
}

// An endpoint is a process that follows the conventions of [peer.Serve].
type endpoint struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	pid   int
}

// startEndpoint starts an endpoint, with fd as its descriptor 3 unless that is nil,
// and returns when it is on its network.
func startEndpoint(t testing.TB, program, role, network string, l load, batch int, fd *os.File) *endpoint {
	t.Helper()
	var files []*os.File
	if fd != nil {
		files = []*os.File{fd}
	}
	return startProgram(t, files, program, role, network, l.list(), strconv.Itoa(batch))
}

// startProgram starts a program that says "ready" and ends with its standard
// input. Its descriptors from 3 on are files.
func startProgram(t testing.TB, files []*os.File, program string, args ...string) *endpoint {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = files
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &endpoint{cmd: cmd, stdin: stdin, out: bufio.NewReader(stdout), pid: cmd.Process.Pid}
	t.Cleanup(func() {
		stdin.Close() // which ends it, unless it is inside a call
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := s.expect("ready"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *endpoint) tell(format string, args ...any) error {
	_, err := fmt.Fprintf(s.stdin, format+"\n", args...)
	return err
}

// expect reads the next line, which must begin with word, and returns the numbers
// in it by their names.
func (s *endpoint) expect(word string) (map[string]int64, error) {
	line, err := s.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: waiting for %q: %w", filepath.Base(s.cmd.Path), word, err)
	}
	return parseLine(line, word)
}

func parseLine(line, word string) (map[string]int64, error) {
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != word {
		return nil, fmt.Errorf("%q instead of %q", line, word)
	}
	values := make(map[string]int64)
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		values[name] = n
	}
	return values, nil
}

// processes is a lane between two endpoints that are processes.
type processes struct {
	source, sink *endpoint
	run          uint64
}

func (p *processes) move(n int) (f figure, err error) {
	p.run++
	if err := p.source.tell("flood %d %d", n, p.run); err != nil {
		return f, err
	}
	done, err := p.sink.expect("done")
	if err != nil {
		return f, err
	}
	if err := p.source.tell("end"); err != nil {
		return f, err
	}
	sent, err := p.source.expect("sent")
	if err != nil {
		return f, err
	}
	if uint64(done["run"]) != p.run {
		return f, fmt.Errorf("figures of run %d instead of %d", done["run"], p.run)
	}
	f.Frames, f.Bytes, f.Calls = uint64(done["frames"]), uint64(done["bytes"]), uint64(done["calls"])
	f.elapsed = time.Duration(done["end"] - sent["start"])
	return f, nil
}

// timings is a pinger and an echo that are processes.
type timings struct {
	pinger, echo *endpoint
	run          uint64
}

func (p *timings) ping(n, rate int) (t peer.Timing, err error) {
	p.run++
	if err := p.pinger.tell("ping %d %d %d", n, rate, p.run); err != nil {
		return t, err
	}
	timed, err := p.pinger.expect("timed")
	if err != nil {
		return t, err
	}
	t.Lost = int(timed["lost"])
	for range timed["count"] {
		line, err := p.pinger.out.ReadString('\n')
		if err != nil {
			return t, err
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return t, err
		}
		t.RTT = append(t.RTT, time.Duration(ns))
	}
	return t, nil
}
