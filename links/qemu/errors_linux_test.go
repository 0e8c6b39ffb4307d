// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"net"
	"strings"
	"testing"

	"github.com/go-vde/sdk/vde"
)

// TestErrorsNameAddressOnce checks that an error says the address once besides the locator,
// and the operation once.
func TestErrorsNameAddressOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for locator, address := range map[string]string{
		"stream://" + gone.Addr().String():            gone.Addr().String(),
		"stream:///nowhere/x":                         "/nowhere/x",
		"hyperkit:///nowhere/x":                       "/nowhere/x",
		"stream://" + ln.Addr().String() + "[server]": ln.Addr().String(),
	} {
		c, err := vde.Open(t.Context(), locator)
		if err == nil {
			c.Close()
			t.Errorf("%s was opened", locator)
			continue
		}
		text := strings.TrimPrefix(err.Error(), "open vde "+locator)
		if strings.Count(text, address) != 1 || strings.Contains(text, "dial tcp") || strings.Contains(text, "listen tcp") {
			t.Errorf("%v", err)
		}
	}
}
