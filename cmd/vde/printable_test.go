// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// foreign is a text that would change the colour and the title of a terminal, and
// has a byte that is not UTF-8.
const foreign = "\x1b[31mred\x1b]0;title\a\u202e\xff"

// wantQuoted checks that nothing in text controls a terminal.
func wantQuoted(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\x1b\a\r\u202e") || !strings.Contains(text, `\x1b[31mred`) {
		t.Errorf("not quoted: %q", text)
	}
}

// TestForeignBytes checks that what others chose is printed as text.
func TestForeignBytes(t *testing.T) {
	testutil.NoLeaks(t)
	t.Run("description", func(t *testing.T) {
		wantQuoted(t, endpoints(vswitch.PortInfo{Endpoints: []vswitch.Endpoint{{Description: foreign}}}))
	})
	t.Run("file name", func(t *testing.T) {
		var messages strings.Builder
		cmd := command(t, "serve", "/nowhere/"+foreign, "--addr", "10.0.0.1/24")
		cmd.Stderr = &messages
		if cmd.Run() == nil {
			t.Error("no error")
		}
		wantQuoted(t, messages.String())
	})
	t.Run("network", func(t *testing.T) {
		out, err := execute(t.Context(), "doctor", "/nowhere/"+foreign)
		if err == nil {
			t.Error("no error")
		}
		wantQuoted(t, out)
	})
	t.Run("answer", func(t *testing.T) {
		var messages strings.Builder
		cmd := command(t, "get", "http://10.0.0.1/x", "-o", "-", "--net", foreignServer(t), "--addr", "10.0.0.2/24")
		cmd.Stderr = &messages
		if cmd.Run() == nil {
			t.Error("no error")
		}
		wantQuoted(t, messages.String())
	})
}

// foreignServer starts an HTTP server with a status line of its own, and returns
// its network.
func foreignServer(t *testing.T) string {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw"))
	port, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	host, err := netstack.NewHost(port, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	web, err := host.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := web.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 404 "+foreign+"\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
		c.Close()
	}()
	return dir
}
