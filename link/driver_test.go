// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMux(t *testing.T) {
	// named returns a driver whose error tells its name, and what it was given.
	named := func(name string) link.Driver {
		return link.DriverFunc(func(_ context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
			return nil, errors.New(strings.Join([]string{name, l.Arg, s.Description}, " "))
		})
	}
	open := func(m link.Mux, locator string) error {
		_, err := m.Open(t.Context(), vnl.Parse(locator), link.Settings{Description: "d"})
		return err
	}
	base := link.Mux{"b": named("first"), "a": named("second")}
	both := base.With(link.Mux{"b": named("third"), "c": named("fourth")})
	for locator, want := range map[string]string{"a://x": "second x d", "b://y": "third y d", "c://": "fourth  d"} {
		if err := open(both, locator); err.Error() != want {
			t.Errorf("%s: %v, want %s", locator, err, want)
		}
	}
	if err := open(base, "b://y"); err.Error() != "first y d" {
		t.Errorf("With changed its receiver: %v", err)
	}
	if got := both.Schemes(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("schemes %v", got)
	}
	err := open(both, "d://x")
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), `"d"`) || !strings.Contains(err.Error(), "a, b, c") {
		t.Errorf("unknown scheme: %v", err)
	}
	if err := open(nil, "a://x"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("no drivers: %v", err)
	}
	if got := link.Mux(nil).With(base).Schemes(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("With of nil: %v", got)
	}
	if got := base.With(nil).Schemes(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("With nil: %v", got)
	}
}

// TestTexts checks that what has a text form has the same one in both directions.
func TestTexts(t *testing.T) {
	for m, want := range map[link.SharedMemory]string{
		link.SharedMemorySameUser: "same-user", link.SharedMemoryAlways: "always", link.SharedMemoryNever: "never",
	} {
		var back link.SharedMemory
		text, err := m.MarshalText()
		if e := back.UnmarshalText(text); string(text) != want || err != nil || e != nil || back != m || !m.Valid() {
			t.Errorf("%v: %q, %v; back %v, %v", m, text, err, back, e)
		}
	}
	for _, m := range []link.SharedMemory{-1, 3} {
		if m.Valid() || !strings.HasPrefix(m.String(), "SharedMemory(") {
			t.Errorf("%v is valid", m)
		}
	}
	both := link.OffloadChecksum | link.OffloadTSO
	for o, want := range map[link.Offload]string{
		0: "none", link.OffloadChecksum: "checksum", link.OffloadTSO: "tso", both: "checksum+tso",
	} {
		back := link.Offload(255)
		text, err := o.MarshalText()
		if e := back.UnmarshalText(text); string(text) != want || err != nil || e != nil || back != o {
			t.Errorf("%v: %q, %v; back %v, %v", o, text, err, back, e)
		}
	}
	if got := (both | 0x80).String(); got != "checksum+tso+Offload(0x80)" {
		t.Errorf("unknown kinds: %q", got)
	}
	o, m := both, link.SharedMemoryNever
	if err := o.UnmarshalText([]byte("tso+checksum")); err != nil || o != both {
		t.Errorf("the other order: %v, %v", o, err)
	}
	for _, text := range []string{"", "tso+", "none+tso", "TSO", "Same-User"} {
		if err := o.UnmarshalText([]byte(text)); err == nil || o != both {
			t.Errorf("offload %q: %v, %v", text, o, err)
		}
		if err := m.UnmarshalText([]byte(text)); err == nil || m != link.SharedMemoryNever {
			t.Errorf("shared memory %q: %v, %v", text, m, err)
		}
	}
}

// TestSettings checks that settings survive a file.
func TestSettings(t *testing.T) {
	s := link.Settings{
		Description: "d", Port: -1, PortGroupFallback: true, MaxFrameSize: 1514, WriteBuffer: 9,
		SocketMode: 0o770, SocketGroup: "g", SharedMemory: link.SharedMemoryNever, Streams: link.StreamsAlways, Offload: true,
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back link.Settings
	if err := json.Unmarshal(text, &back); err != nil || back != s {
		t.Errorf("%s: %+v, %v", text, back, err)
	}
	if !strings.Contains(string(text), `"never"`) {
		t.Errorf("a mode without its name: %s", text)
	}
}

func TestOffloadTakes(t *testing.T) {
	sum := frame.VNetHeader{Flags: frame.VNetNeedsChecksum}
	gso := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv6}
	for o, want := range map[link.Offload][3]bool{
		0:                                      {true, false, false},
		link.OffloadChecksum:                   {true, true, false},
		link.OffloadTSO:                        {true, false, false},
		link.OffloadChecksum | link.OffloadTSO: {true, true, true},
	} {
		if got := [3]bool{o.Takes(frame.VNetHeader{Flags: frame.VNetDataValid}), o.Takes(sum), o.Takes(gso)}; got != want {
			t.Errorf("%v takes %v, want %v", o, got, want)
		}
	}
}

func TestPolicyDefaults(t *testing.T) {
	p, err := link.RedialPolicy{}.Defaults()
	if err != nil || p.MinDelay != 50*time.Millisecond || p.MaxDelay != 5*time.Second || p.MaxAttempts != 0 || p.MaxOutage != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = (link.RedialPolicy{MinDelay: time.Minute}).Defaults(); err != nil || p.MaxDelay != time.Minute {
		t.Errorf("%+v, %v", p, err)
	}
	for _, p := range []link.RedialPolicy{
		{MinDelay: -1}, {MaxDelay: -1}, {MinDelay: 2, MaxDelay: 1}, {MaxAttempts: -1}, {MaxOutage: -1},
	} {
		if _, err := p.Defaults(); err == nil {
			t.Errorf("%+v is taken", p)
		}
		if l, err := link.Redial(t.Context(), nil, p); err == nil {
			l.Close()
			t.Errorf("Redial takes %+v", p)
		}
	}
}

func TestTx(t *testing.T) {
	h := []frame.VNetHeader{{Flags: 1}, {Flags: 2}}
	whole := link.Tx{Frames: [][]byte{{1}, {2, 3}}, Headers: h}
	pieces := link.Tx{Pieces: []net.Buffers{{{1}}, {{2}, nil, {3}}}, NoWait: true}
	for _, tx := range []link.Tx{whole, pieces} {
		rest := tx.From(1)
		if tx.Len() != 2 || tx.Size(0) != 1 || tx.Size(1) != 2 || rest.Len() != 1 || rest.Size(0) != 2 || rest.NoWait != tx.NoWait {
			t.Errorf("%+v and the rest %+v", tx, rest)
		}
		if rest = tx.From(2); rest.Len() != 0 {
			t.Errorf("nothing is %+v", rest)
		}
	}
	rest := whole.From(1)
	if rest.Header(0) != h[1] || !pieces.Header(0).IsZero() {
		t.Errorf("headers %+v, %+v", rest.Header(0), pieces.Header(0))
	}
}
