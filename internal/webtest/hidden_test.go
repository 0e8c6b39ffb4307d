// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package webtest

import (
	"testing"

	pb "github.com/go-vde/sdk/api/switchv1"

	"github.com/go-vde/sdk/api"
)

// A tab that nobody sees has one stream, not two, of the few connections that a browser has
// for all of its tabs, and has missed no event when it is seen again.
func TestPageHidden(t *testing.T) {
	sw, conns := newLab(t, 3)
	url := serveWith(t, sw, api.Access{}, api.Options{MaxStreams: 2})
	b := open(t, url, 1000, 900)
	b.untilText("#state", "live")
	conns[2].Close()
	b.untilText("#events", "station 3 (in-process) left port 3")
	show := func(hidden string) {
		eval[bool](b, `Object.defineProperty(document, "hidden", {configurable: true, value: `+hidden+`}), document.dispatchEvent(new Event("visibilitychange"))`)
	}
	show("true")
	client, err := api.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for { // until the page has ended its own
		stream, err := client.WatchEvents(t.Context(), &pb.WatchEventsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Receive()
		stream.Close()
		if err == nil {
			break
		}
		if b.ctx.Err() != nil {
			t.Fatalf("a tab that is hidden keeps its streams: %v", err)
		}
	}
	conns[0].Close()
	show("false")
	b.untilText("#events", "station 1 (in-process) left port 1")
	b.until(`document.querySelector("#state").className === "live"`)
}
