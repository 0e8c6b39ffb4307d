// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package openfiles

import (
	"os"
	"testing"
)

func TestSince(t *testing.T) {
	open := func() *os.File {
		t.Helper()
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := open()
	before := Open()
	if list := Open().Since(before); list != nil {
		t.Errorf("nothing was opened, got %v", list)
	}
	number := int(first.Fd())
	first.Close()
	second := open()
	defer second.Close()
	if int(second.Fd()) != number {
		t.Skip("the number was not used again")
	}
	list := Open().Since(before)
	if len(list) != 1 || list[0].descriptor != number || list[0].String() == "" {
		t.Errorf("got %v, want the file that took the place of another", list)
	}
	if len(before) != len(Open()) {
		t.Error("one was closed and one opened, and their number is another")
	}
}
