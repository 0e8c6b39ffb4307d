// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// broadcast sends n frames to every port.
func broadcast(t *testing.T, c *vde.Conn, n int) {
	t.Helper()
	for i := range n {
		f := frame.AppendHeader(make([]byte, 0, 60), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, byte(i)}, frame.EtherTypeExperimental)
		if _, err := c.Write(f[:60]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCapture(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "tcpdump")
	dir, other := listenWithStation(t)

	name := filepath.Join(t.TempDir(), "x.pcapng")
	for _, limit := range []string{"3", "0"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		messages, w := io.Pipe()
		root := newRoot()
		root.SetErr(w)
		root.SetArgs([]string{"capture", dir, "-w", name, "-c", limit})
		ended := make(chan error, 1)
		go func() {
			ended <- root.ExecuteContext(ctx)
			w.Close()
		}()
		lines := bufio.NewScanner(messages)
		if !lines.Scan() {
			t.Fatal(<-ended)
		}
		broadcast(t, other, 3)
		want := 3
		if limit == "0" { // until told; what has come by then
			cancel()
			want = -1
		}
		for lines.Scan() {
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		out, err := exec.CommandContext(t.Context(), "tcpdump", "-n", "-e", "-r", name).CombinedOutput()
		if n := strings.Count(string(out), "ethertype Unknown (0x88b5)"); err != nil || want >= 0 && n != want {
			t.Errorf("tcpdump: %v, %d frames:\n%s", err, n, out)
		}
	}
	if _, err := execute(t.Context(), "capture", dir, "-w", "/nowhere/x"); err == nil || !os.IsNotExist(err) {
		t.Error(err)
	}
	if out, err := execute(t.Context(), "capture", dir); err == nil {
		t.Errorf("without -w: %s", out)
	}
}
