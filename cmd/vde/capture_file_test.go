// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// TestCaptureJoinsFirst checks that a capture which cannot begin leaves an earlier
// one alone.
func TestCaptureJoinsFirst(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(name, []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"capture", "/nowhere", "-w", name}, {"capture", "/nowhere", "-w", name, "-s", "-1"}} {
		if out, err := execute(t.Context(), args...); err == nil {
			t.Errorf("%v: no error\n%s", args, out)
		}
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "earlier" {
		t.Errorf("the file has %q, %v", b, err)
	}
}

// TestCaptureIsLive checks that a frame is in the file soon after it has come, and
// not only when a buffer is full.
func TestCaptureIsLive(t *testing.T) {
	testutil.NoLeaks(t)
	dir, other := listenWithStation(t)
	// A FIFO, because to read from one waits for what is written.
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := execute(ctx, "capture", dir, "-w", fifo)
		ended <- err
	}()
	if err := f.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // ends a hang
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 64<<10)
	for i := range byte(3) {
		mac := []byte{2, 0, 0, 0, 0, i}
		for !bytes.Contains(got, mac) {
			n, err := f.Read(buf)
			if err != nil {
				t.Fatalf("frame %d is not in the file, of which %d bytes are: %v", i, len(got), err)
			}
			if len(got) == 0 { // the header: it captures
				broadcast(t, other, 3)
			}
			got = append(got, buf[:n]...)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A memoryFile is written well, and returns err when it is closed.
type memoryFile struct {
	bytes.Buffer
	err error
}

func (f *memoryFile) Close() error { return f.err }

var errClose = errors.New("disk full")

// TestCaptureReportsWriteOnce checks that a write that fails is reported once.
func TestCaptureReportsWriteOnce(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw"))
	_, err := execute(t.Context(), "capture", dir, "-w", "/dev/full")
	if !errors.Is(err, unix.ENOSPC) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line", err)
	}
}

// TestCaptureReportsClose checks that what is known only when the file is closed is
// reported, beside the object that says what has been captured.
func TestCaptureReportsClose(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := captureOptions{jsonOption: jsonOption{true}, output: "x", create: func(context.Context, string) (io.WriteCloser, error) {
		cancel() // as soon as it has begun
		return &memoryFile{err: errClose}, nil
	}}
	var out bytes.Buffer
	if err := runCapture(ctx, &out, io.Discard, dir, o); !errors.Is(err, errClose) {
		t.Errorf("%v, want %v", err, errClose)
	}
	var got captureResult
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.File != "x" {
		t.Errorf("%v: %q", err, out.Bytes())
	}
}
