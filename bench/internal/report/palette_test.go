// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report_test

import (
	"image/color"
	"math"
	"strings"
	"testing"

	"github.com/go-vde/sdk/bench/internal/report"
)

// linear returns the components of a color without the gamma of sRGB.
func linear(c color.RGBA) (v [3]float64) {
	for i, b := range []uint8{c.R, c.G, c.B} {
		x := float64(b) / 255
		if x <= 0.04045 {
			v[i] = x / 12.92
		} else {
			v[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return v
}

// contrast is the contrast ratio of WCAG 2.
func contrast(a, b color.RGBA) float64 {
	luminance := func(c color.RGBA) float64 {
		v := linear(c)
		return 0.2126*v[0] + 0.7152*v[1] + 0.0722*v[2]
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestContrastRatio(t *testing.T) {
	white, gray := color.RGBA{255, 255, 255, 255}, color.RGBA{0x76, 0x76, 0x76, 255}
	if got := contrast(white, color.RGBA{0, 0, 0, 255}); math.Abs(got-21) > 1e-9 {
		t.Errorf("black on white: %v", got)
	}
	if got := contrast(gray, white); math.Abs(got-4.54) > 0.01 {
		t.Errorf("#767676 on white: %v", got)
	}
}

// TestPaletteContrast asks of the data what WCAG 2.1 asks of graphics (1.4.11), and
// of the text what it asks of text at its highest level (1.4.6).
func TestPaletteContrast(t *testing.T) {
	for name, c := range report.Palette {
		if got := contrast(c, report.Background); got < 3 {
			t.Errorf("%s: the contrast is %.2f", name, got)
		}
	}
	if got := contrast(report.Ink, report.Background); got < 7 {
		t.Errorf("text: the contrast is %.2f", got)
	}
}

// visions turn linear colors into those that people with a kind of color vision
// see: Machado, Oliveira and Fernandes, 2009, severity 1.
var visions = map[string][3][3]float64{
	"all cones":    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

func apply(m [3][3]float64, v [3]float64) (w [3]float64) {
	for i := range w {
		for j := range v {
			w[i] += m[i][j] * v[j]
		}
		w[i] = min(max(w[i], 0), 1)
	}
	return w
}

// oklab is a color in Oklab, in which distances are about as large as they look.
func oklab(v [3]float64) [3]float64 {
	lms := [3][3]float64{{0.4122214708, 0.5363325363, 0.0514459929}, {0.2119034982, 0.6806995451, 0.1073969566}, {0.0883024619, 0.2817188376, 0.6299787005}}
	var w, lab [3]float64
	for i := range w {
		for j := range v {
			w[i] += lms[i][j] * v[j]
		}
		w[i] = math.Cbrt(w[i])
	}
	for i, row := range [3][3]float64{{0.2104542553, 0.7936177850, -0.0040720468}, {1.9779984951, -2.4285922050, 0.4505937099}, {0.0259040371, 0.7827717662, -0.8086757660}} {
		for j := range w {
			lab[i] += row[j] * w[j]
		}
	}
	return lab
}

// TestPaletteColorVision compares each two colors as people see them. A distance
// of 0.02 is just noticeable.
func TestPaletteColorVision(t *testing.T) {
	for vision, m := range visions {
		for one, a := range report.Palette {
			for other, b := range report.Palette {
				x, y := oklab(apply(m, linear(a))), oklab(apply(m, linear(b)))
				d := math.Hypot(math.Hypot(x[0]-y[0], x[1]-y[1]), x[2]-y[2])
				if one < other && d < 0.08 {
					t.Errorf("%s: %s and %s are only %.3f apart", vision, one, other, d)
				}
			}
		}
	}
}

// TestStyles looks for two paths that look the same. A stack of netstack may look
// as the path that its frames take.
func TestStyles(t *testing.T) {
	looks, colors := report.Styles()
	path := map[string]string{}
	for name, look := range looks {
		if same, ok := path[look]; ok && !strings.HasPrefix(name, "netstack") && !strings.HasPrefix(same, "netstack") {
			t.Errorf("%s and %s look the same: %s", name, same, look)
		}
		path[look] = name
	}
	for _, name := range []string{"inproc", "shm", "sockets"} {
		if colors[name] != colors["netstack-"+name] {
			t.Errorf("%s and netstack-%s have different colors", name, name)
		}
	}
}
