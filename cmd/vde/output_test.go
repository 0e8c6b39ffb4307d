// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
)

// image is what a hostTest serves.
const image = "http://10.0.0.1:8080/image"

// TestGetWritesThrough checks that what exists and is no regular file is written
// to, and not replaced.
func TestGetWritesThrough(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHostTest(t)
	stop := h.serve()
	dir := t.TempDir()
	t.Run("symbolic link", func(t *testing.T) { h.testLinks(t, dir) })
	t.Run("fifo", func(t *testing.T) { h.testFIFO(t, dir) })
	t.Run("device", func(t *testing.T) { h.testDevice(t, dir) })
	t.Run("other files", func(t *testing.T) { h.testFiles(t, dir) })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// testLinks checks that a file is written where a link leads.
func (h *hostTest) testLinks(t *testing.T, dir string) {
	t.Helper()
	for _, exists := range []bool{true, false} {
		link, file := filepath.Join(dir, "link"), filepath.Join(dir, "file")
		os.Remove(link)
		os.Remove(file)
		if exists {
			if err := os.WriteFile(file, make([]byte, len(h.content)+1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("file", link); err != nil {
			t.Fatal(err)
		}
		if text, err := h.run("get", image, "-q", "-o", link); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		wantMode(t, link, fs.ModeSymlink)
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, h.content) {
			t.Errorf("target that exists (%v): %d bytes, %v", exists, len(got), err)
		}
	}
}

// testFIFO checks that the bytes go through a FIFO.
func (h *hostTest) testFIFO(t *testing.T, dir string) {
	t.Helper()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// Opened for reading and writing, so that no open waits, whatever get does.
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte, 1)
	go func() {
		got := make([]byte, len(h.content))
		n, _ := io.ReadFull(f, got)
		read <- got[:n]
	}()
	text, err := h.run("get", image, "-q", "-o", fifo)
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	wantMode(t, fifo, fs.ModeNamedPipe)
	if t.Failed() {
		f.Close() // nothing comes
	}
	if got := <-read; !bytes.Equal(got, h.content) {
		t.Errorf("%d bytes through the FIFO, want %d", len(got), len(h.content))
	}
	f.Close()
}

// testDevice checks that a device stays one.
func (h *hostTest) testDevice(t *testing.T, dir string) {
	t.Helper()
	null := filepath.Join(dir, "null")
	if err := unix.Mknod(null, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); errors.Is(err, fs.ErrPermission) {
		testpeers.Skip(t, "a device", "run the test as root, which can make one")
	} else if err != nil {
		t.Fatal(err)
	}
	if text, err := h.run("get", image, "-q", "-o", null); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	wantMode(t, null, fs.ModeDevice|fs.ModeCharDevice)
}

// testFiles checks that a regular file is replaced, with its permissions, and no other file.
func (h *hostTest) testFiles(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "new")
	for _, n := range []string{name, name + ".part"} {
		if err := os.WriteFile(n, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := h.run("get", image, "-q", "-o", name); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, h.content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := os.ReadFile(name + ".part"); err != nil || string(got) != "old" {
		t.Errorf("a file of somebody else has %d bytes, %v", len(got), err)
	}
	if fi, err := os.Stat(name); err != nil || fi.Mode() != 0o600 {
		t.Errorf("a private file was replaced by one with mode %v, %v", fi.Mode(), err)
	}
}

// wantMode checks the type of a file.
func wantMode(t *testing.T, name string, want fs.FileMode) {
	t.Helper()
	if fi, err := os.Lstat(name); err != nil || fi.Mode().Type() != want {
		t.Errorf("%s: %v, %v, want type %v", name, fi.Mode(), err, want)
	}
}

// TestGetStopsAtFIFO checks that a download to a FIFO that nobody reads ends when
// told.
func TestGetStopsAtFIFO(t *testing.T) {
	testutil.NoLeaks(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, reader := range []bool{false, true} {
		var f *os.File
		if reader {
			var err error
			if f, err = os.OpenFile(fifo, os.O_RDWR, 0); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := save(ctx, fifo, nil, bytes.NewReader(make([]byte, 1<<20)))
			done <- err
		}()
		if reader { // it has been opened
			if _, err := f.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("with a reader (%v): %v, want context.Canceled", reader, err)
		}
		if !reader { // the open that was given up ends with one for reading
			var err error
			if f, err = os.Open(fifo); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
}
