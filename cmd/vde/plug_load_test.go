// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// loadFrames is how many frames go through two plugs. A reader of libvdeplug that gets
// a part of a frame, or of its length, is out of step from then on.
const loadFrames = 10000

// loadFrame is one of them: between 60 and 159 bytes, or 1514.
func loadFrame(i int) []byte {
	size := 60 + i*131%100
	if i%10 == 9 {
		size = 1514
	}
	f := frame.AppendHeader(make([]byte, 0, size), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	return binary.BigEndian.AppendUint32(f, uint32(i))[:size]
}

// TestPlugLoad passes many frames in batches, both ways, through a plug of this SDK
// and one of Debian's, on networks that lose none. All arrive, in order.
func TestPlugLoad(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "vde_plug", "dpipe")
	ours := filepath.Join(testutil.ShortDir(t), "vde_plug")
	if err := exec.CommandContext(t.Context(), "ln", "-s", testpeers.TestBinary(t), ours).Run(); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]func(a, b string) []string{
		"cmd of Debian's": func(a, b string) []string { return []string{"vde_plug", a, "cmd://" + ours + " " + b} },
		"dpipe":           func(a, b string) []string { return []string{"dpipe", "vde_plug", a, "=", ours, b} },
		"command":         func(a, b string) []string { return []string{ours, b, "=", "vde_plug", a} },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := testutil.FakePointToPoint(t), testutil.FakePointToPoint(t)
			words := args(a.Dir(), b.Dir())
			cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
			messages := (&plugTest{T: t}).start(cmd)
			var conns [2]*vde.Conn
			var opening errgroup.Group // each waits for the program at its other end, in whatever order it opens
			for i, vnl := range []string{a.VNL(), b.VNL()} {
				opening.Go(func() (err error) {
					conns[i], err = vde.Open(conntest.Watchdog(t), vnl)
					return err
				})
			}
			err := opening.Wait()
			for _, c := range conns {
				if c != nil {
					defer c.Close()
				}
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, messages)
			}
			for from, to := range []int{1, 0} {
				if err := load(conns[from], conns[to]); err != nil {
					t.Errorf("from %c: %v", "ab"[from], err)
				}
			}
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // Debian's programs end by the signal
		})
	}
}

// load sends all frames from one connection to the other.
func load(from, to *vde.Conn) error {
	sent := make(chan error, 1)
	go func() {
		for i := 0; i < loadFrames; {
			var batch [][]byte
			for ; len(batch) < 32 && i < loadFrames; i++ {
				batch = append(batch, loadFrame(i))
			}
			if _, err := from.WriteBatch(batch); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	buf := make([]byte, 2000)
	for i := range loadFrames {
		n, err := to.Read(buf)
		if err != nil {
			return fmt.Errorf("after %d frames: %w", i, err)
		}
		if !bytes.Equal(buf[:n], loadFrame(i)) {
			return fmt.Errorf("frame %d has %d bytes and begins % x", i, n, buf[:min(n, 24)])
		}
	}
	return <-sent
}
