// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package peer

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// An endpoint in a process of its own is a program with the arguments
//
//	ROLE NETWORK SIZES BATCH
//
// that prints "ready" once its network knows it. Its role is flood, count, echo or
// ping. It ends when its standard input does.
//
//	flood, told "flood N RUN", sends N frames and then markers, until told "end";
//	       then it says "sent start=NS errors=N".
//	count  says "done run=RUN frames=N bytes=N calls=N end=NS" at each marker
//	       with the number of a new run.
//	echo   sends everything back.
//	ping,  told "ping N RATE RUN", says "timed lost=N count=N" and then as many
//	       lines with a round trip's nanoseconds each. Rate 0 is a closed loop.
//
// Serve is such a program for an endpoint made in Go; testdata holds others in C.
func Serve(e Endpoint, role string, sizes []int, batch int, in io.Reader, out io.Writer) error {
	s := &server{Endpoint: e, role: role, self: B, other: A, sizes: sizes, lines: bufio.NewScanner(in), out: bufio.NewWriter(out)}
	if role == "flood" || role == "ping" {
		s.self, s.other = A, B
	}
	if _, err := s.Send([][]byte{Marker(Broadcast, s.self, 0)}); err != nil {
		return err
	}
	if err := s.say("ready"); err != nil {
		return err
	}
	switch role {
	case "count", "echo":
		go func() {
			io.Copy(io.Discard, in) // to its end
			s.Close()
			os.Exit(0)
		}()
		if role == "echo" {
			Echo(s)
			return nil
		}
		return countRuns(s, s.say)
	}
	s.load = NewLoad(sizes, batch, s.other, s.self)
	return s.follow()
}

// A server is an endpoint that follows the commands of a benchmark.
type server struct {
	Endpoint
	role        string
	self, other MAC
	sizes       []int
	load        *Load
	lines       *bufio.Scanner
	out         *bufio.Writer
}

func (s *server) say(format string, args ...any) error {
	fmt.Fprintf(s.out, format+"\n", args...)
	return s.out.Flush()
}

// follow follows the commands of one role until the input ends.
func (s *server) follow() error {
	for s.lines.Scan() {
		words := strings.Fields(s.lines.Text())
		if len(words) == 0 || words[0] != s.role {
			continue
		}
		var n []int
		for _, word := range words[1:] {
			v, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			n = append(n, v)
		}
		var err error
		switch {
		case s.role == "flood" && len(n) == 2:
			err = s.flood(n[0], uint64(n[1]))
		case s.role == "ping" && len(n) == 3:
			err = s.ping(n[0], n[1], uint64(n[2]))
		default:
			err = fmt.Errorf("a %s does not understand %q", s.role, s.lines.Text())
		}
		if err != nil {
			return err
		}
	}
	return s.lines.Err()
}

// flood sends n frames, and markers until the next line: "end", or the end of the
// input.
func (s *server) flood(n int, run uint64) error {
	stop := make(chan struct{})
	go func() {
		s.lines.Scan()
		close(stop)
	}()
	start, err := Flood(s, s.load, s.other, s.self, n, run, stop)
	if err != nil {
		return err
	}
	return s.say("sent start=%d errors=0", start)
}

// ping times n frames, at a rate or, if that is 0, in a closed loop.
func (s *server) ping(n, rate int, run uint64) (err error) {
	var t Timing
	if rate == 0 {
		t, err = Ping(s, s.other, s.self, s.sizes[0], n, run)
	} else {
		t, err = PingAt(s, s.other, s.self, s.sizes[0], n, rate, run)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "timed lost=%d count=%d\n", t.Lost, len(t.RTT))
	for _, d := range t.RTT {
		fmt.Fprintln(s.out, d.Nanoseconds())
	}
	return s.out.Flush()
}

// countRuns counts one run after the other.
func countRuns(s Endpoint, say func(string, ...any) error) error {
	var t Tally
	var last, calls uint64
	for {
		fs, err := s.Recv()
		if err != nil {
			return err
		}
		for _, f := range fs {
			if f[kindAt] == kindData {
				t.Frames++
				t.Bytes += uint64(len(f))
				continue
			}
			run, ok := markerOf(f)
			if !ok || run <= last {
				continue
			}
			end := Now()
			if err := say("done run=%d frames=%d bytes=%d calls=%d end=%d", run, t.Frames, t.Bytes, s.Calls()-calls, end); err != nil {
				return err
			}
			last, calls, t = run, s.Calls(), Tally{}
		}
	}
}
