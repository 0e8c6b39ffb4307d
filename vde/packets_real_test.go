// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/testpeers"
)

// TestPacketsReal sends segments of 64 KB and datagrams without a checksum
// through a vde_switch to a kernel, and has tcpdump judge what arrives.
func TestPacketsReal(t *testing.T) {
	testpeers.Need(t, "tcpdump")
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	station := testpeers.StartKernelTap(t, sw.Dir(), testpeers.KernelTapConfig{})
	seen := packetSocket(t, station)
	c := conntest.Open(t, sw.VNL())

	given := []packet{gsoPacket(frame.MaxGSO-54, 1460), partialPacket()}
	missing := make(map[string]bool)
	for _, p := range given {
		mac := station.MAC()
		copy(p.frame, mac[:])
		for _, p := range p.finished() {
			missing[string(p.frame)] = true
		}
	}
	pieces, headers := split(given)
	total := len(missing)
	var arrived [][]byte
	// The switch drops what the station's plug does not take at once, so each is
	// sent until all of it has come.
	for ctx := conntest.Watchdog(t); len(missing) > 0; {
		if ctx.Err() != nil {
			t.Fatalf("%d frames of %d have not come, or are not what they should be", len(missing), total)
		}
		if n, err := c.WritePackets(pieces, headers); n != len(given) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		for f := seen(); f != nil; f = seen() {
			if missing[string(f)] {
				delete(missing, string(f))
				arrived = append(arrived, f)
			}
		}
	}
	judge(t, arrived)
	if s := c.Stats(); s.TxFrames%2 != 0 || s.TxInvalid != 0 {
		t.Errorf("%+v", s)
	}
}

// packetSocket returns a function that returns the next IPv4 frame that the
// station has received, or nil if none comes for a while.
func packetSocket(t *testing.T, s *testpeers.KernelTap) func() []byte {
	t.Helper()
	fd := -1
	if err := s.Do(func() (err error) {
		proto := int(binary.NativeEndian.Uint16([]byte{8, 0})) // IPv4, in network byte order
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		t.Fatal(err)
	}
	patience := unix.NsecToTimeval(int64(200 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	return func() []byte {
		for {
			n, err := unix.Read(fd, buf)
			switch {
			case err == nil:
				return bytes.Clone(buf[:n])
			case errors.Is(err, unix.EAGAIN):
				return nil
			case !errors.Is(err, unix.EINTR):
				t.Fatal(err)
			}
		}
	}
}

// judge has tcpdump look at frames and fails if it finds anything wrong.
func judge(t *testing.T, frames [][]byte) {
	t.Helper()
	// The form of a pcap file is described in pcap-savefile(5).
	le := binary.LittleEndian
	file := le.AppendUint32(nil, 0xa1b2c3d4)
	file = append(file, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	file = le.AppendUint32(file, 1<<16)
	file = le.AppendUint32(file, 1) // Ethernet
	for _, f := range frames {
		file = append(file, 0, 0, 0, 0, 0, 0, 0, 0)
		file = le.AppendUint32(file, uint32(len(f)))
		file = le.AppendUint32(file, uint32(len(f)))
		file = append(file, f...)
	}
	name := filepath.Join(t.TempDir(), "arrived.pcap")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), conntest.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "tcpdump", "-n", "-vv", "-r", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// For a datagram to a name server's port it says "udp sum ok".
	right, wrong := bytes.Count(out, []byte("(correct)"))+bytes.Count(out, []byte("udp sum ok")), bytes.Count(bytes.ToLower(out), []byte("incorrect"))
	bad := bytes.Count(out, []byte("bad "))
	if right != len(frames) || wrong+bad != 0 {
		t.Errorf("of %d frames %d are correct, %d incorrect, %d bad:\n%s", len(frames), right, wrong, bad, out)
	}
	t.Logf("tcpdump found %d frames correct", right)
}
