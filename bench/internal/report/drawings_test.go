// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/bench/internal/report"
)

// drawings are one of each kind, of the sample.
var drawings = map[string]report.Drawing{
	"lines": report.Lines{Title: "Title", X: "ports", Y: "rate", Suite: "Ports", Key: "switch", Shown: []string{"inproc", "vswitch"}, Over: "ports", Unit: "frames/s", Scale: 1e6},
	"times": report.Times{Title: "Title", Suite: "RTT", Key: "path", Shown: []string{"inproc", "vswitch"}, Load: "closed"},
	"bars":  report.Bars{Title: "Title", Subject: "rate", Suite: "Switch", Key: "path", Groups: [][]string{{"vswitch", "inproc"}, {"vde_switch"}}, Where: report.Keys{"size": "64"}, Unit: "frames/s"},
}

func sampleTimes(t *testing.T) report.Histograms {
	t.Helper()
	hs, err := report.ReadHistograms(strings.NewReader(histogramLines(t, "RTT/load=closed/path=vswitch", 10_000, 20_000, 30_000)))
	if err != nil {
		t.Fatal(err)
	}
	return hs
}

// TestDrawings saves each kind of picture. Paths that were not measured are left
// out.
func TestDrawings(t *testing.T) {
	shown := map[string][]string{"lines": {"inproc"}, "times": {"vswitch"}, "bars": {"vswitch", "vde_switch"}}
	for kind, d := range drawings {
		t.Run(kind, func(t *testing.T) {
			p, err := d.Draw(read(t), sampleTimes(t))
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "picture")
			if err := p.Save(name); err != nil {
				t.Fatal(err)
			}
			svg, err := os.ReadFile(name + ".svg")
			if err != nil || !bytes.Contains(svg, []byte("<svg")) {
				t.Errorf("%v, %.200q", err, svg)
			}
			for _, path := range d.Paths() {
				want := slices.Contains(shown[kind], path)
				if _, ok := p.Colors()[path]; ok != want || bytes.Contains(svg, []byte(">"+path+"<")) != want {
					t.Errorf("%s is drawn: %v, want %v", path, ok, want)
				}
			}
			png, err := os.ReadFile(name + ".png")
			if err != nil || !bytes.HasPrefix(png, []byte("\x89PNG\r\n\x1a\n")) {
				t.Errorf("%v, %.20q", err, png)
			}
		})
	}
}

// TestDrawingsRefuse draws what was not measured, too much, and a path that has no
// color.
func TestDrawingsRefuse(t *testing.T) {
	many := []string{"inproc", "shm", "sockets", "vswitch", "conn-batch", "conn-one", "c-one", "bridge", "channel"}
	for _, test := range []struct {
		shown []string
		want  string
	}{
		{[]string{"shm"}, "nothing of Ports to draw"},
		{many, "9 paths in one picture"},
		{[]string{"inproc", "unheard-of"}, `path "unheard-of" has no color`},
	} {
		d := drawings["lines"].(report.Lines)
		d.Shown = test.shown
		if _, err := d.Draw(read(t), nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test.shown, err)
		}
		times := drawings["times"].(report.Times)
		times.Shown = test.shown
		if _, err := times.Draw(nil, sampleTimes(t)); err == nil {
			t.Errorf("times of %v were drawn", test.shown)
		}
		bars := drawings["bars"].(report.Bars)
		bars.Groups = [][]string{test.shown[:1], test.shown[1:]}
		if _, err := bars.Draw(read(t), nil); err == nil {
			t.Errorf("bars of %v were drawn", test.shown)
		}
	}
}
