// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testframe_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/go-vde/sdk/internal/testframe"
)

func TestPingFrames(t *testing.T) {
	t.Parallel()
	ip1, ip2 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	request := testframe.ARPRequest(macA, ip1, ip2)
	if want := "ffffffffffff02000000000a08060001080006040001" + "02000000000a0a000001" + "0000000000000a000002"; fmt.Sprintf("%x", request) != want {
		t.Errorf("got  %x\nwant %s", request, want)
	}
	a, err := testframe.ParseARP(append(request, make([]byte, 18)...)) // padded
	if err != nil || a.Reply || a.SenderMAC != macA || a.SenderIP != ip1 || a.TargetIP != ip2 {
		t.Errorf("%+v, %v", a, err)
	}
	if r, err := testframe.ParseARP(a.Answer(macB).Frame()); err != nil || r != a.Answer(macB) || !r.Reply || r.TargetMAC != macA {
		t.Errorf("%+v, %v", r, err)
	}
	e := testframe.Echo{Src: macA, Dst: macB, From: ip1, To: ip2, ID: 1, Seq: 2, Data: []byte("odd")}
	frame := e.Frame()
	if got, err := testframe.ParseEcho(append(frame, make([]byte, 20)...)); err != nil || fmt.Sprint(got) != fmt.Sprint(e) {
		t.Errorf("%+v, %v", got, err)
	}
	for i := 14; i < len(frame); i++ {
		frame[i] ^= 0x10
		if _, err := testframe.ParseEcho(frame); err == nil {
			t.Errorf("byte %d changed unnoticed", i)
		}
		frame[i] ^= 0x10
	}
	for n := range frame {
		if _, err := testframe.ParseEcho(frame[:n]); err == nil {
			t.Errorf("cut to %d bytes unnoticed", n)
		}
	}
	if _, err := testframe.ParseEcho(request); !errors.Is(err, testframe.ErrOtherProtocol) {
		t.Error(err)
	}
	if _, err := testframe.ParseARP(frame); !errors.Is(err, testframe.ErrOtherProtocol) {
		t.Error(err)
	}
}
