// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package webtest

import (
	"strings"
	"testing"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/frame"
)

// Events that a station can cause at any rate push no others out of the page, which stays
// usable.
func TestPageEventFlood(t *testing.T) {
	sw, conns := newLab(t, 4)
	b := open(t, serve(t, sw, api.Access{}), 1000, 900)
	b.untilText("#state", "live")
	conns[2].Close()
	b.untilText("#events", "station 3 (in-process) left port 3")
	for i := range 3000 {
		f := make([]byte, 60)
		frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}, 0x88b5)
		if _, err := conns[0].Write(f); err != nil {
			t.Fatal(err)
		}
	}
	conns[3].Close()
	b.untilText("#events", "station 4 (in-process) left port 4") // it came last
	if text := b.text("#events"); !strings.Contains(text, "station 3 (in-process) left port 3") {
		t.Errorf("the event before the flood is gone: %.500s", text)
	}
	b.set("#events-kind", "all")
	b.untilText("#events", "is behind port 1")
	b.untilText("#events", "station 4 (in-process) left port 4")
	if s := b.complaints(); s != "" {
		t.Errorf("the browser complains:\n%s", s)
	}
}
