// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"os"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestGreeting(t *testing.T) {
	testutil.NoLeaks(t)
	hub := testutil.FakeHub(t)
	alice, err := vde.Open(t.Context(), hub.VNL())
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	bob, err := vde.Open(t.Context(), hub.VNL())
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()

	greeting := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, 0x88b5)
	if _, err := alice.Write(append(greeting, "hello"...)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, frame.DefaultMaxSize)
	n, err := bob.Read(buf)
	if err != nil || string(buf[frame.HeaderLen:n]) != "hello" {
		t.Errorf("received % x, %v", buf[:n], err)
	}
}

// TestDocQuotesTestGreeting compares the test in the package's documentation with the one above.
func TestDocQuotesTestGreeting(t *testing.T) {
	source, err := os.ReadFile("doc_test.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), "\nfunc TestGreeting(")
	body, _, _ := strings.Cut(rest, "\n}\n")
	want := strings.ReplaceAll("\nfunc TestGreeting("+body+"\n}", "\n", "\n//\t")
	if want = strings.ReplaceAll(want, "\n//\t\n", "\n//\n"); !strings.Contains(string(doc), want) {
		t.Errorf("doc.go does not quote TestGreeting:%s", want)
	}
}
