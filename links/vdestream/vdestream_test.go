// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdestream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/vdestream"
	"github.com/go-vde/sdk/vde"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files are closed together.
type files [2]*os.File

func (f files) Close() error { return errors.Join(f[0].Close(), f[1].Close()) }

// TestLink holds links over pipes of the kernel and of this process to what is
// promised of every link. What is on its way when a link is closed has not come, so
// Close cannot count it.
func TestLink(t *testing.T) {
	link2 := func(a, b link.Link, errs ...error) (link.Link, link.Link, error) { return a, b, errors.Join(errs...) }
	t.Run("pipes", func(t *testing.T) {
		linktest.Test(t, func(testing.TB) (link.Link, link.Link, error) {
			ar, bw, err := os.Pipe()
			if err != nil {
				return nil, nil, err
			}
			br, aw, err := os.Pipe()
			if err != nil {
				return nil, nil, err
			}
			a, errA := vdestream.New(vdestream.Pipes{In: ar, Out: aw, Closer: files{ar, aw}}, vdestream.Config{})
			b, errB := vdestream.New(vdestream.Pipes{In: br, Out: bw, Closer: files{br, bw}}, vdestream.Config{})
			return link2(a, b, errA, errB)
		}, linktest.Options{NoCount: true, MaxFrameSize: 9234})
	})
	t.Run("net.Pipe", func(t *testing.T) {
		linktest.Test(t, func(testing.TB) (link.Link, link.Link, error) {
			ca, cb := net.Pipe()
			a, errA := vdestream.New(ca, vdestream.Config{WriteSize: 1 << 16})
			b, errB := vdestream.New(cb, vdestream.Config{WriteSize: 1 << 16})
			return link2(a, b, errA, errB)
		}, linktest.Options{NoCount: true})
	})
}

func ExampleNew() {
	left, right := net.Pipe() // any connection, such as a *tls.Conn
	ctx := context.Background()
	open := func(stream net.Conn) *vde.Conn {
		l, err := vdestream.New(stream, vdestream.Config{})
		if err != nil {
			panic(err)
		}
		c, err := vde.NewConn(ctx, l)
		if err != nil {
			panic(err)
		}
		return c
	}
	a, b := open(left), open(right)
	defer a.Close()
	defer b.Close()

	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	if _, err := a.Write(append(f, "hello"...)); err != nil {
		panic(err)
	}
	buf := make([]byte, b.MaxFrameSize())
	n, err := b.Read(buf)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", frame.Frame(buf[:n]).Payload())
	// Output: hello
}
