// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// statuses are those of Connect for the codes that the schema documents.
var statuses = map[int]string{
	200: "", 400: "invalid_argument", 404: "not_found", 409: "aborted", 429: "resource_exhausted", 501: "unimplemented",
	// 400 is failed_precondition too. Nothing else can come of a request with the right headers.
}

// FuzzCall calls each method with anything as its request, as JSON and as Protocol Buffers,
// alone and as a stream. Nothing panics, the status is one that is documented, errors say
// something, and afterwards the switch still forwards and its counters add up.
func FuzzCall(f *testing.F) {
	methods := pb.File_vde_switch_v1_switch_proto.Services().ByName("SwitchService").Methods()
	for i := range methods.Len() {
		f.Add(uint8(i), uint8(0), []byte(`{}`))
		f.Add(uint8(i), uint8(0), []byte(`{"port": 1, "src": 1, "dst": 2, "config": {"vlan": 4095, "tagged": [{"first": 1, "last": 4094}], "wait": "-1s"}, "updateMask": "vlan,wait", "hub": true, "numPorts": 5, "ageingTime": "0.000001s"}`))
		f.Add(uint8(i), uint8(1), []byte("\x08\x01\x10\x02"))
		f.Add(uint8(i), uint8(2), []byte("\x00\x00\x00\x00\x02{}"))
		f.Add(uint8(i), uint8(3), []byte("\x00\x00\x00\x00\x02\x08\x01"))
	}
	types := []string{"application/json", "application/proto", "application/connect+json", "application/connect+proto"}
	f.Fuzz(func(t *testing.T, method, form uint8, request []byte) {
		sw := vswitch.New(vswitch.Config{NumPorts: 8, DefaultPort: vswitch.PortConfig{Policy: vswitch.TailDrop}})
		defer sw.Close()
		server := api.New(sw, api.Options{Timeout: time.Minute})
		defer server.Close()
		a, err := sw.Attach(vde.WithPort(1))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if _, err := a.Write(flooded(1)); err != nil {
			t.Fatal(err)
		}
		m := methods.Get(int(method) % methods.Len())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/vde.switch.v1.SwitchService/"+string(m.Name()), bytes.NewReader(request))
		r.Header.Set("Content-Type", types[int(form)%len(types)])
		w := &firstWrite{ResponseRecorder: httptest.NewRecorder(), cancel: cancel, stream: m.IsStreamingServer()}
		server.Handler(api.Access{}).ServeHTTP(w, r)
		checkAnswer(t, w.ResponseRecorder, r.Header.Get("Content-Type"))

		b, err := sw.Attach()
		if err != nil {
			if !strings.Contains(err.Error(), "no free port") && !strings.Contains(err.Error(), "full") {
				t.Fatal(err)
			}
			return // one port, in use
		}
		defer b.Close()
		if _, err := b.Write(flooded(2)); err != nil {
			t.Fatal(err)
		}
		stats := sw.Stats()
		checkAccounts(t, stats)
	})
}

// A firstWrite ends a stream when it has begun.
type firstWrite struct {
	*httptest.ResponseRecorder
	cancel context.CancelFunc
	stream bool
}

func (w *firstWrite) Write(b []byte) (int, error) {
	n, err := w.ResponseRecorder.Write(b)
	if w.stream {
		w.cancel()
	}
	return n, err
}

// checkAnswer checks the status of an answer, and that an error says something.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, contentType string) {
	t.Helper()
	want, ok := statuses[w.Code]
	switch {
	case w.Code == http.StatusUnsupportedMediaType: // a stream's call without its content type, or the other way round
		return
	case !ok:
		t.Errorf("status %d: %s", w.Code, w.Body)
		return
	case w.Code == 200:
		if contentType == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer is %q", w.Body)
		}
		return
	}
	var e struct{ Code, Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" || e.Code != want && e.Code != "failed_precondition" {
		t.Errorf("status %d: %q, want the code %s and text", w.Code, w.Body, want)
	}
}

// checkAccounts checks that every frame is accounted for.
func checkAccounts(t *testing.T, s vswitch.Stats) {
	t.Helper()
	copies, offered := uint64(0), s.Monitors.Offered
	for _, p := range s.Ports {
		if p.In.Frames != p.In.Forwarded+p.In.Dropped.Sum() || p.Out.Offered != p.Out.Frames+p.Out.Dropped.Sum()+p.Out.Queued {
			t.Errorf("port %d: %+v", p.Port, p)
		}
		copies += p.In.Copies
		offered += p.Out.Offered - p.Out.Probes - p.Out.Duplicated
	}
	if copies != offered {
		t.Errorf("%d copies were made and %d offered", copies, offered)
	}
}
