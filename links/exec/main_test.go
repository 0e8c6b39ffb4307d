// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/exec"
	"github.com/go-vde/sdk/vnl"
)

// TestMain runs the tests, or one of the commands that they start: the test binary
// with the name of the command as its argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "relay" {
		if err := relay(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "program" {
		if _, err := (exec.Driver{}).Open(context.Background(), vnl.Locator{Scheme: "cmd", Arg: os.Args[2]}, link.Settings{}); err != nil {
			panic(err)
		}
		select {} // until it is killed
	}
	goleak.VerifyTestMain(m)
}

// relay passes bytes between the standard streams and another relay, whichever of
// the two comes first, and ends when either of the directions does.
func relay(path string) error {
	c, err := net.Dial("unix", path)
	for err != nil {
		ln, listenErr := net.Listen("unix", path)
		if listenErr != nil { // the other has come first
			c, err = net.Dial("unix", path)
			continue
		}
		c, err = ln.Accept()
		ln.Close()
	}
	ended := make(chan error, 2)
	// Without the methods by which io.Copy would make pipes of its own.
	go func() {
		_, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{os.Stdin})
		ended <- err
	}()
	go func() {
		_, err := io.Copy(struct{ io.Writer }{os.Stdout}, struct{ io.Reader }{c})
		ended <- err
	}()
	return <-ended
}

// open opens a link to the command that words name.
func open(tb testing.TB, s link.Settings, words ...string) link.Link {
	tb.Helper()
	l, err := exec.Driver{}.Open(tb.Context(), vnl.Locator{Scheme: "cmd", Arg: exec.Quote(words...)}, s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// shell opens a link to a shell that runs a script.
func shell(tb testing.TB, script string) link.Link {
	tb.Helper()
	testpeers.Need(tb, "sh")
	return open(tb, link.Settings{}, "sh", "-c", script)
}

// numbered returns a frame of n bytes with a number in it.
func numbered(number uint32, n int) []byte {
	f := make([]byte, n)
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	for i := range 4 {
		f[frame.HeaderLen+i] = byte(number >> (24 - 8*i))
	}
	return f
}

// numberOf returns the number in a frame.
func numberOf(f []byte) (number uint32) {
	for _, b := range f[frame.HeaderLen : frame.HeaderLen+4] {
		number = number<<8 | uint32(b)
	}
	return number
}

// recv receives one frame.
func recv(tb testing.TB, l link.Link) []byte {
	tb.Helper()
	buf, sizes := make([]byte, 10000), make([]int, 1)
	if _, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); err != nil {
		tb.Fatal(err)
	}
	return buf[:sizes[0]]
}

// send sends frames.
func send(tb testing.TB, l link.Link, frames ...[]byte) {
	tb.Helper()
	if n, _, err := l.Send(link.Tx{Frames: frames}); n != len(frames) {
		tb.Fatalf("%d of %d frames: %v", n, len(frames), err)
	}
}

// ended waits for the end of l and returns why.
func ended(tb testing.TB, l link.Link) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute) // a hang
	defer cancel()
	select {
	case <-l.Done():
		return l.Err()
	case <-ctx.Done():
		tb.Fatal("the link does not end")
		return nil
	}
}
