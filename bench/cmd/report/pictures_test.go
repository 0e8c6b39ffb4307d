// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"

	"github.com/go-vde/sdk/bench/internal/report"
)

// shownAt is how many pixels wide GitHub shows a picture in a document.
const shownAt = 830

// TestPictures draws what docs/performance shows from the results that are in the
// repository, and checks what makes a picture readable.
func TestPictures(t *testing.T) {
	rs, hs, err := load("../../results")
	if err != nil {
		t.Fatal(err)
	}
	colors := map[string]color.Color{}
	for _, p := range pictures {
		t.Run(p.name, func(t *testing.T) {
			drawn, err := p.Draw(rs, hs)
			if err != nil {
				t.Fatal(err)
			}
			checkSeries(t, drawn, measured(p, rs), colors)
			checkLegend(t, drawn)
			if lines, ok := p.Drawing.(report.Lines); ok {
				checkTicks(t, lines, drawn, rs)
			}
			svg, err := drawn.SVG()
			if err != nil {
				t.Fatal(err)
			}
			checkSVG(t, string(svg))
		})
	}
}

// measured returns the paths of a picture that the results hold. What has stalled in
// all rounds has no place in a picture.
func measured(p picture, rs report.Results) (paths []string) {
	var where keys
	switch d := p.Drawing.(type) {
	case report.Bars:
		where = d.Where
	case report.Lines:
		where = d.Where
	}
	rs = slices.DeleteFunc(slices.Clone(rs), func(r report.Result) bool {
		for k, v := range where {
			if r.Suite == p.suite && r.Keys[k] != v {
				return true
			}
		}
		return r.Stalled()
	})
	for _, path := range p.Paths() {
		if slices.ContainsFunc([]string{"path", "switch", "kind", "stack"}, func(key string) bool { return slices.Contains(rs.Of(p.suite, key), path) }) {
			paths = append(paths, path)
		}
	}
	return paths
}

// checkSeries expects these paths, few enough, each in a color of its own that is
// the same in all pictures.
func checkSeries(t *testing.T, drawn *report.Picture, want []string, colors map[string]color.Color) {
	if n := len(drawn.Colors()); n > report.MaxSeries || n != len(want) || n == 0 {
		t.Errorf("%d lines or bars of %d paths, at most %d", n, len(want), report.MaxSeries)
	}
	paths := map[color.Color]string{}
	for path, c := range drawn.Colors() {
		if other, ok := paths[c]; ok {
			t.Errorf("%s and %s have the same color", path, other)
		}
		paths[c] = path
		if before, ok := colors[path]; ok && before != c {
			t.Errorf("%s is %v here and %v in another picture", path, c, before)
		}
		colors[path] = c
	}
}

// checkLegend expects the legend inside the picture and outside the data.
func checkLegend(t *testing.T, drawn *report.Picture) {
	whole, data, legend := drawn.Areas()
	for name, r := range map[string]vg.Rectangle{"data": data, "legend": legend} {
		if r.Min.X < whole.Min.X || r.Min.Y < whole.Min.Y || r.Max.X > whole.Max.X || r.Max.Y > whole.Max.Y {
			t.Errorf("%s: %v is not inside of %v", name, r, whole)
		}
	}
	if size := data.Size(); size.X < whole.Size().X/2 || size.Y < whole.Size().Y/2 {
		t.Errorf("the data have %v of %v", size, whole.Size())
	}
	if legend.Min.X < data.Max.X && data.Min.X < legend.Max.X && legend.Min.Y < data.Max.Y && data.Min.Y < legend.Max.Y {
		t.Errorf("the legend, %v, is on the data, %v", legend, data)
	}
}

// checkTicks expects the marks of the horizontal axis at the numbers measured.
func checkTicks(t *testing.T, l report.Lines, drawn *report.Picture, rs report.Results) {
	var want, got []string
	for _, at := range rs.Of(l.Suite, l.Over) {
		if _, err := strconv.ParseFloat(at, 64); err == nil {
			want = append(want, at)
		}
	}
	for _, tick := range drawn.Ticks() {
		if v, err := strconv.ParseFloat(tick.Label, 64); err != nil || v != tick.Value {
			t.Errorf("the mark at %v reads %q", tick.Value, tick.Label)
		}
		got = append(got, tick.Label)
	}
	if !slices.Equal(got, want) {
		t.Errorf("marks at %v, measured at %v", got, want)
	}
}

var (
	svgSize  = regexp.MustCompile(`viewBox="0 0 ([0-9.]+) ([0-9.]+)"`)
	svgFirst = regexp.MustCompile(`(?s)<g [^>]*>\s*<path d="([^"]*)" style="fill:#FFFFFF" />`)
	svgText  = regexp.MustCompile(`(?s)<text [^>]*style="([^"]*)">([^<]*)</text>`)
	fontSize = regexp.MustCompile(`font-size:([0-9.]+)px`)
)

// checkSVG expects a background of the picture's own, so that the page's does not
// matter, dark text, and no text that is too small to read.
func checkSVG(t *testing.T, svg string) {
	size := svgSize.FindStringSubmatch(svg)
	if size == nil {
		t.Fatalf("no size in %.300s", svg)
	}
	w, h := size[1], size[2]
	if m := svgFirst.FindStringSubmatch(svg); m == nil || m[1] != "M0,0L"+w+",0L"+w+","+h+"L0,"+h+"Z" {
		t.Errorf("the picture of %s by %s does not begin with a white background of that size: %.600s", w, h, svg)
	}
	width, err := strconv.ParseFloat(w, 64)
	if err != nil {
		t.Fatal(err)
	}
	texts := svgText.FindAllStringSubmatch(svg, -1)
	if len(texts) < 5 {
		t.Errorf("%d texts", len(texts))
	}
	for _, m := range texts {
		if !strings.Contains(m[1], "fill:#1F2328") {
			t.Errorf("%q is not in the color of text: %s", m[2], m[1])
		}
		size := fontSize.FindStringSubmatch(m[1])
		if size == nil {
			t.Fatalf("%q has no size: %s", m[2], m[1])
		}
		if points, err := strconv.ParseFloat(size[1], 64); err != nil || points*shownAt/width < 12 {
			t.Errorf("%q has %v pixels where the picture has %d, %v", m[2], points*shownAt/width, shownAt, err)
		}
	}
}

// TestDocument makes the document again from the results that are in the
// repository, and expects no difference, and that it shows each picture once.
func TestDocument(t *testing.T) {
	const original = "../../../docs/performance.md"
	want, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	rs, hs, err := load("../../results")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := readTexts("../../results")
	if err != nil {
		t.Fatal(err)
	}
	if err := document(path, rs, hs, texts); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/performance.md differs from what the results give: run go run ./cmd/report -render")
	}
	var names []string
	for _, p := range pictures {
		names = append(names, p.name+".png", p.name+".svg")
		if n := strings.Count(string(want), "](performance/"+p.name+".svg)"); n != 1 {
			t.Errorf("docs/performance.md shows %s.svg %d times", p.name, n)
		}
	}
	slices.Sort(names)
	entries, err := os.ReadDir("../../../docs/performance")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		files = append(files, e.Name())
	}
	if !slices.Equal(files, names) {
		t.Errorf("docs/performance holds %v, want %v", files, names)
	}
}
