// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// TestAgainstSocat gets back from socat, byte for byte, what it sends, kills it, and
// does so again with the next one. socat is the server and then the client.
func TestAgainstSocat(t *testing.T) {
	t.Parallel()
	testpeers.Need(t, "linux", "socat")
	// socat connects an address with itself.
	for scheme, option := range map[string]string{"stream": "", "hyperkit": "", "bess": ",socktype=5"} {
		t.Run(scheme, func(t *testing.T) {
			p := path(t)
			l := mustOpen(t, scheme+"://"+p+"[reconnect]")
			for range 2 {
				q := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"socat", "-b", "100000", "UNIX-LISTEN:" + p + ",unlink-early" + option, "PIPE"}})
				echo(t, l)
				q.Kill()
				await(t, l, false)
			}
			l.Close()
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
			server := mustOpen(t, scheme+"://"+p+"[server]")
			for range 2 {
				q := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"socat", "-b", "100000", "UNIX-CONNECT:" + p + option, "PIPE"}})
				echo(t, server)
				q.Kill()
				await(t, server, false)
			}
		})
	}
}

// echo sends frames and receives the same.
func echo(t *testing.T, l link.Link) {
	t.Helper()
	await(t, l, true)
	for i := range 50 {
		send(t, l, numbered(i))
		if f := recv(t, l); !bytes.Equal(f, numbered(i)) {
			t.Fatalf("frame %d is %d bytes % x…", i, len(f), f[:min(len(f), 20)])
		}
	}
}

// TestAgainstPasst asks passt's router for its address, kills passt, and does so again
// with the next one.
func TestAgainstPasst(t *testing.T) {
	t.Parallel()
	testpeers.Need(t, "linux", "passt", "CAP_SETUID")
	dir, err := os.MkdirTemp("", "passt") // passt is another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(dir, "s")
	l := mustOpen(t, "stream://"+p+"[reconnect]")
	request := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeARP)
	request = append(request, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1)
	for range 2 {
		up := make(chan struct{}, 1)
		stop := l.Caps().State.OnChange(func(s link.State) {
			if s.Up {
				select {
				case up <- struct{}{}:
				default:
				}
			}
		})
		q := testpeers.StartProcess(t, testpeers.ProcessConfig{
			Args: []string{"passt", "--foreground", "--socket", p, "--address", "192.0.2.2", "--netmask", "255.255.255.0", "--gateway", "192.0.2.1", "--tcp-ports", "none", "--udp-ports", "none"},
			User: &testpeers.Credential{UID: 65534, GID: 65534},
		})
		select {
		case <-up:
		case <-q.Done():
			testpeers.Skip(t, "a network that passt can copy", q.Log())
		}
		stop()
		send(t, l, request)
		for answered := false; !answered; {
			f := recv(t, l) // it may say more
			answered = len(f) >= 42 && bytes.Equal(f[12:14], []byte{8, 6}) && f[21] == 2 && bytes.Equal(f[28:32], []byte{192, 0, 2, 1})
		}
		q.Kill()
		await(t, l, false)
		_ = os.Remove(p) // or the next passt takes another name
	}
}
