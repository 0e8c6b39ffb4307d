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

// A station in a process of its own is a program with the arguments
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
// Serve is such a program for a station made in Go; testdata holds others in C.
func Serve(s Station, role string, sizes []int, batch int, in io.Reader, out io.Writer) error {
	w := bufio.NewWriter(out)
	say := func(format string, args ...any) error {
		fmt.Fprintf(w, format+"\n", args...)
		return w.Flush()
	}
	self, other := B, A
	if role == "flood" || role == "ping" {
		self, other = A, B
	}
	if _, err := s.Send([][]byte{Marker(Broadcast, self, 0)}); err != nil {
		return err
	}
	if err := say("ready"); err != nil {
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
		return countRuns(s, say)
	}
	lines := bufio.NewScanner(in)
	load := NewLoad(sizes, batch, other, self)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0] != role {
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
		switch {
		case role == "flood" && len(n) == 2:
			stop := make(chan struct{})
			go func() {
				lines.Scan() // "end", or the end of the input
				close(stop)
			}()
			start, err := Flood(s, load, other, self, n[0], uint64(n[1]), stop)
			if err != nil {
				return err
			}
			if err := say("sent start=%d errors=0", start); err != nil {
				return err
			}
		case role == "ping" && len(n) == 3:
			var t Timing
			var err error
			if n[1] == 0 {
				t, err = Ping(s, other, self, sizes[0], n[0], uint64(n[2]))
			} else {
				t, err = PingAt(s, other, self, sizes[0], n[0], n[1], uint64(n[2]))
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "timed lost=%d count=%d\n", t.Lost, len(t.RTT))
			for _, d := range t.RTT {
				fmt.Fprintln(w, d.Nanoseconds())
			}
			if err := w.Flush(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("a %s does not understand %q", role, lines.Text())
		}
	}
	return lines.Err()
}

// countRuns counts one run after the other.
func countRuns(s Station, say func(string, ...any) error) error {
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
