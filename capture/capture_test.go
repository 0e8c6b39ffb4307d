// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package capture_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/goleak"

	"github.com/go-vde/sdk/capture"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text returns a broadcast frame of EtherType 0x88b5 that holds s.
func text(s string, size int) []byte {
	f := frame.AppendHeader(make([]byte, 0, size), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	return append(f, s...)[:size]
}

// record moves a few frames between two connections of one file, and returns
// what was written.
func record(t *testing.T, snapLen int) []byte {
	t.Helper()
	var out bytes.Buffer
	file, err := capture.NewFile(&out, snapLen)
	if err != nil {
		t.Fatal(err)
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	var conns [2]*vde.Conn
	for i, name := range []string{"left", "right"} {
		port, err := file.Interface(name)
		if err != nil {
			t.Fatal(err)
		}
		if conns[i], err = sw.Attach(vde.WithFrameHook(port.Record), vde.WithMaxFrameSize(1000)); err != nil {
			t.Fatal(err)
		}
		port.CountDrops(conns[i])
	}
	big, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range [][]byte{text("one", 60), text("two", 600)} {
		if _, err := conns[0].Write(f); err != nil {
			t.Fatal(err)
		}
		if _, err := conns[1].Read(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	// The next one is too long for both, the last one is not.
	for _, f := range [][]byte{text("too long", 2000), text("three", 100)} {
		if _, err := big.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conns[1].Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		c.Close()
	}
	for range 2 {
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// A packet is a record of a file.
type packet struct {
	iface     int
	direction pcapgo.NgEpbFlag
	text      string
	kept      int
	size      int
	drops     uint64
}

func TestFileContents(t *testing.T) {
	testutil.NoLeaks(t)
	for _, snapLen := range []int{0, 100} {
		r, err := pcapgo.NewNgReader(bytes.NewReader(record(t, snapLen)), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []packet
		for {
			data, info, options, err := r.ReadPacketDataWithOptions()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			word, _, _ := strings.Cut(string(data[frame.HeaderLen:]), "\x00")
			p := packet{iface: info.InterfaceIndex, direction: options.Flags.Direction, text: word, kept: len(data), size: info.Length}
			if options.DropCount != nil {
				p.drops = *options.DropCount
			}
			if info.Timestamp.IsZero() {
				t.Error("no time")
			}
			got = append(got, p)
		}
		kept := func(n int) int {
			if snapLen > 0 {
				return min(n, snapLen)
			}
			return n
		}
		want := []packet{
			{0, pcapgo.NgEpbFlagDirectionOutbound, "one", 60, 60, 0},
			{1, pcapgo.NgEpbFlagDirectionInbound, "one", 60, 60, 0},
			{0, pcapgo.NgEpbFlagDirectionOutbound, "two", kept(600), 600, 0},
			{1, pcapgo.NgEpbFlagDirectionInbound, "two", kept(600), 600, 0},
			{1, pcapgo.NgEpbFlagDirectionInbound, "three", 100, 100, 1},
		}
		if !slices.Equal(got, want) {
			t.Errorf("snapLen %d:\n got %+v\nwant %+v", snapLen, got, want)
		}
		for i, name := range []string{"left", "right"} {
			in, err := r.Interface(i)
			if err != nil {
				t.Fatal(err)
			}
			if in.Name != name || in.LinkType != layers.LinkTypeEthernet || in.Statistics.PacketsReceived != uint64(2+i) {
				t.Errorf("interface %d: %+v", i, in)
			}
		}
		if in, _ := r.Interface(1); in.Statistics.PacketsDropped != 1 {
			t.Errorf("drops in the counts: %+v", in.Statistics)
		}
	}
}

// TestTcpdump checks that tcpdump finds all frames in a file.
func TestTcpdump(t *testing.T) {
	testpeers.Need(t, "tcpdump")
	name := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(name, record(t, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "tcpdump", "-n", "-e", "-r", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype Unknown (0x88b5), length "); n != 5 {
		t.Errorf("%d frames, want 5:\n%s", n, out)
	}
}

// failing is a writer that fails after so many bytes.
type failing int

var errFull = errors.New("disk full")

func (f *failing) Write(b []byte) (int, error) {
	if *f -= failing(len(b)); *f < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteFailure(t *testing.T) {
	w := failing(5000)
	file, err := capture.NewFile(&w, 0)
	if err != nil {
		t.Fatal(err)
	}
	port, err := file.Interface("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		port.Record(vde.Sent, text("x", 1000))
	}
	if err := file.Flush(); !errors.Is(err, errFull) {
		t.Errorf("Flush: %v", err)
	}
	if _, err := file.Interface("y"); !errors.Is(err, errFull) {
		t.Errorf("Interface: %v", err)
	}
	if err := file.Err(); !errors.Is(err, errFull) {
		t.Errorf("Err: %v", err)
	}
	if err := file.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: %v", err)
	}
	port.Record(vde.Sent, text("x", 60)) // does nothing
	if _, err := file.Interface("z"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Interface after Close: %v", err)
	}
	if _, err := capture.NewFile(nil, -1); err == nil {
		t.Error("a negative length was accepted")
	}
	empty, _ := capture.NewFile(&w, 0)
	if err := empty.Close(); err != nil {
		t.Error(err)
	}
}
