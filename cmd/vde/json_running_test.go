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
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestCaptureJSON captures frames and checks the object at the end, beside which
// nothing is printed.
func TestCaptureJSON(t *testing.T) {
	testutil.NoLeaks(t)
	dir, other := listenWithStation(t)
	o := captureOptions{jsonOption: jsonOption{true}, output: "x", count: 3, create: func(context.Context, string) (io.WriteCloser, error) {
		broadcast(t, other, 3) // when the capture has joined
		return new(memoryFile), nil
	}}
	var out, messages bytes.Buffer
	if err := runCapture(t.Context(), &out, &messages, dir, o); err != nil {
		t.Fatal(err)
	}
	var got captureResult
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if got.Network != dir || got.File != "x" || got.Frames != 3 || got.Conn.RxFrames != 3 || messages.Len() > 0 {
		t.Errorf("%+v, and %q", got, messages.String())
	}
	if text, err := execute(t.Context(), "capture", dir, "-w", "-", "--json"); !errors.As(err, new(usageError)) {
		t.Errorf("both on the standard output: %v\n%s", err, text)
	}
}

// TestServeJSON checks the object that says where files are served.
func TestServeJSON(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHostTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, w := io.Pipe()
	server := newRoot()
	server.SetOut(w)
	server.SetArgs([]string{"serve", h.files, "--net", h.net, "--addr", "10.0.0.1/24", "--port", "8080", "--json"})
	served := make(chan error, 1)
	go func() {
		served <- server.ExecuteContext(ctx)
		w.Close()
	}()
	var got serveResult
	objects := json.NewDecoder(out)
	if err := objects.Decode(&got); err != nil {
		t.Fatal(err, <-served)
	}
	if got.Directory != h.files || !slices.Equal(got.URLs, []string{"http://10.0.0.1:8080/"}) {
		t.Errorf("%+v", got)
	}
	if text, err := h.run("get", got.URLs[0]+"image", "-q", "-o", filepath.Join(h.got, "copy")); err != nil {
		t.Error(err, text)
	}
	cancel()
	if err := objects.Decode(&got); err != io.EOF {
		t.Errorf("more was printed: %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
