// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

var (
	alice = frame.MAC{0x02, 0, 0, 0, 0, 0x0a}
	bob   = frame.MAC{0x02, 0, 0, 0, 0, 0x0b}
)

// hello returns a frame from alice to bob.
func hello(text string) []byte {
	f := make([]byte, frame.HeaderLen+len(text))
	frame.PutHeader(f, bob, alice, frame.EtherTypeExperimental)
	copy(f[frame.HeaderLen:], text)
	return f
}

// Open takes the locator of a network: the path of a switch's control directory
// is one. The context bounds joining only.
func ExampleOpen() {
	vnl, stop := startSwitch() // a real one might be "vde:///run/vde.ctl"
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := vde.Open(ctx, vnl, vde.WithDescription("alice"))
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	b, err := vde.Open(ctx, vnl, vde.WithDescription("bob"))
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	if _, err := a.Write(hello("how do you do")); err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, frame.DefaultMaxSize)
	n, err := b.Read(buf)
	if err != nil {
		log.Fatal(err)
	}
	f, err := frame.Parse(buf[:n])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v to %v: %s\n", f.Src(), f.Dst(), f.Payload())
	// Output:
	// 02:00:00:00:00:0a to 02:00:00:00:00:0b: how do you do
}

// Errors of Open are told apart with errors.Is; their text names the step, the
// path and what would help.
func ExampleOpen_errors() {
	_, err := vde.Open(context.Background(), "/nonexistent/switch")
	switch {
	case errors.Is(err, vde.ErrNoSwitch):
		fmt.Println("start the switch first")
	case errors.Is(err, vde.ErrControlDenied):
		fmt.Println("ask the owner of the switch")
	}
	fmt.Println(err)
	// Output:
	// start the switch first
	// open vde /nonexistent/switch: find the control directory /nonexistent/switch: no switch there: lstat /nonexistent: no such file or directory (check the path, or start a switch there)
}

// Frames delivers what is received on a channel, each frame in a pooled buffer
// that its receiver releases.
func ExampleConn_Frames() {
	vnl, stop := startSwitch()
	a, err := vde.Open(context.Background(), vnl)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	b, err := vde.Open(context.Background(), vnl)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	go func() {
		for _, text := range []string{"one", "two", "three"} {
			if _, err := a.Write(hello(text)); err != nil {
				log.Print(err)
			}
		}
	}()
	n := 0
	for f := range b.Frames() {
		fmt.Printf("%s\n", f.View().Payload())
		f.Release()
		if n++; n == 3 {
			stop() // the switch goes away, and that ends the channel
		}
	}
	fmt.Println(b.Err())
	// Output:
	// one
	// two
	// three
	// connection closed by peer
}

// The context given to Open is not the connection's. To bind the lifetimes, close
// the connection when the parent ends.
func ExampleConn_Close_withContext() {
	vnl, stop := startSwitch()
	defer stop()

	parent, cancel := context.WithCancel(context.Background())
	c, err := vde.Open(parent, vnl)
	if err != nil {
		log.Fatal(err)
	}
	unbind := context.AfterFunc(parent, func() { c.Close() })
	defer unbind()

	cancel()
	_, err = c.Read(make([]byte, frame.DefaultMaxSize))
	fmt.Println(err != nil)
	<-c.Context().Done()
	fmt.Println(c.Err())
	// Output:
	// true
	// use of closed network connection
}

// A deadline in the past ends a call that waits, so a context can be made to
// cancel one call. That costs a little, and nothing for calls that do without.
func ExampleConn_SetReadDeadline_context() {
	vnl, stop := startSwitch()
	defer stop()
	c, err := vde.Open(context.Background(), vnl)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	readContext := func(ctx context.Context, p []byte) (int, error) {
		interrupted := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			c.SetReadDeadline(time.Unix(1, 0))
			close(interrupted)
		})
		n, err := c.Read(p)
		if !stop() {
			// The deadline is set, or about to be: lift it for the next call.
			<-interrupted
			c.SetReadDeadline(time.Time{})
			if err != nil {
				err = context.Cause(ctx)
			}
		}
		return n, err
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = readContext(ctx, make([]byte, frame.DefaultMaxSize))
	fmt.Println(err)
	// Output:
	// context deadline exceeded
}

// What ReadBatch has filled is what WriteBatch takes.
func ExampleConn_ReadBatch() {
	// forward copies what is received on one network to another.
	forward := func(dst, src *vde.Conn) error {
		const batch = 32
		p := pool.New(frame.DefaultMaxSize, 0)
		buffers := make([]*pool.Buffer, batch)
		p.GetBatch(buffers)
		defer pool.ReleaseBatch(buffers)
		windows := make([][]byte, batch)
		for {
			windows = pool.Windows(windows[:0], buffers) // their full lengths again
			n, err := src.ReadBatch(windows)
			if err != nil {
				return err
			}
			for sent := 0; sent < n; {
				k, err := dst.WriteBatch(windows[sent:n])
				if errors.Is(err, vde.ErrFrameSize) {
					k++ // too long for that network: go on behind it
				} else if err != nil {
					return err
				}
				sent += k
			}
		}
	}

	left, stopLeft := startSwitch()
	defer stopLeft()
	right, stopRight := startSwitch()
	defer stopRight()
	var conns []*vde.Conn
	for _, vnl := range []string{left, left, right, right} {
		c, err := vde.Open(context.Background(), vnl)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	done := make(chan error, 1)
	go func() { done <- forward(conns[2], conns[1]) }()

	if _, err := conns[0].Write(hello("from left to right")); err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, frame.DefaultMaxSize)
	n, err := conns[3].Read(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", buf[frame.HeaderLen:n])
	conns[1].Close()
	<-done
	// Output:
	// from left to right
}

// A Conn is a net.PacketConn whose addresses are those of Ethernet. The frame
// says where it goes; the address is checked against it.
func ExampleConn_WriteTo() {
	vnl, stop := startSwitch()
	defer stop()
	a, err := vde.Open(context.Background(), vnl)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	b, err := vde.Open(context.Background(), vnl)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	if _, err := a.WriteTo(hello("hello"), vde.Addr{MAC: bob}); err != nil {
		log.Fatal(err)
	}
	_, src, err := b.ReadFrom(make([]byte, frame.DefaultMaxSize))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(src, src == vde.Addr{MAC: alice})

	_, err = a.WriteTo(hello("hello"), vde.Addr{MAC: alice})
	fmt.Println(errors.Unwrap(err))
	// Output:
	// 02:00:00:00:00:0a true
	// frame is for 02:00:00:00:00:0b: destination differs; give nil or the frame's own as an Addr
}
