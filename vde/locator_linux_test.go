// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

func TestLocatorFIFO(t *testing.T) {
	fifo := t.TempDir() + "/fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// A writer, so that a parser that does open the FIFO fails here and does
	// not hang.
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(fifo, []byte("/tmp/sw\n"), 0) }()

	got, _, err := places{}.find(fifo)
	if want := "vde://" + fifo; err != nil || got.String() != want {
		t.Fatalf("got %v, %v; want %s", got, err, want)
	}
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "/tmp/sw\n" {
		t.Errorf("the FIFO holds %q, %v", b, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestLocatorFileReadError(t *testing.T) {
	// A regular file that opens and whose first page is never mapped.
	if _, err := Locate("/proc/self/mem"); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want %v", err, syscall.EIO)
	}
}
