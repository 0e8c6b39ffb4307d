// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Colors of everything but the data. A picture brings its own background, so it
// looks the same on a light page and on a dark one.
var (
	background = color.RGBA{0xff, 0xff, 0xff, 0xff}
	border     = color.RGBA{0xd0, 0xd7, 0xde, 0xff}
	grid       = color.RGBA{0xdf, 0xe2, 0xe6, 0xff}
	ink        = color.RGBA{0x1f, 0x23, 0x28, 0xff}
)

// Colors of the data. Their contrast with the background is at least 3, and with
// any kind of color vision they can be told apart: palette_test.go computes both.
var (
	blue   = color.RGBA{0x00, 0x4b, 0xa5, 0xff}
	red    = color.RGBA{0xc3, 0x0f, 0x00, 0xff}
	teal   = color.RGBA{0x1e, 0x78, 0x96, 0xff}
	black  = color.RGBA{0x1a, 0x1a, 0x1a, 0xff}
	wine   = color.RGBA{0x78, 0x1e, 0x4b, 0xff}
	amber  = color.RGBA{0xd2, 0x78, 0x00, 0xff}
	violet = color.RGBA{0x78, 0x2d, 0xff, 0xff}
	lilac  = color.RGBA{0x87, 0x87, 0xf0, 0xff}
)

// A style is how a path looks in every picture. The shapes of paths of this SDK are
// filled and their lines solid; the shapes of others are not and their lines dashed.
type style struct {
	color color.RGBA
	shape draw.GlyphDrawer
	peer  bool
}

// styles are fixed, by path. Two paths of one color never share a picture, and
// differ in shape.
var styles = map[string]style{
	// Frames in process, through shared memory, and over sockets.
	"inproc":      {blue, draw.CircleGlyph{}, false},
	"shm":         {red, draw.BoxGlyph{}, false},
	"vswitch-shm": {red, draw.PyramidGlyph{}, false},
	"streams":     {teal, draw.CircleGlyph{}, false},
	"sockets":     {amber, draw.PyramidGlyph{}, false},
	"vswitch":     {teal, draw.PyramidGlyph{}, false},
	"c-vswitch":   {black, draw.BoxGlyph{}, false},

	// Two endpoints without a switch.
	"conn-batch": {teal, draw.BoxGlyph{}, false},
	"conn-one":   {amber, draw.CircleGlyph{}, false},
	"channel":    {lilac, draw.PlusGlyph{}, true},
	"go-mmsg":    {violet, draw.SquareGlyph{}, true},
	"c-mmsg":     {wine, draw.RingGlyph{}, true},
	"c-one":      {black, draw.CrossGlyph{}, true},

	// Switches of others.
	"vde_switch":   {wine, draw.TriangleGlyph{}, true},
	"c-vde_switch": {wine, draw.SquareGlyph{}, true},
	"c-vdeplug4":   {amber, draw.TriangleGlyph{}, true},
	"gvtap-packet": {violet, draw.TriangleGlyph{}, true},
	"gvtap-stream": {violet, draw.CrossGlyph{}, true},
	"bridge":       {lilac, draw.RingGlyph{}, true},

	// TCP stacks. Those of netstack look as the path that they run on.
	"netstack-inproc":        {blue, draw.CircleGlyph{}, false},
	"netstack-shm":           {red, draw.BoxGlyph{}, false},
	"netstack-sockets":       {amber, draw.PyramidGlyph{}, false},
	"netstack":               {teal, draw.BoxGlyph{}, false},
	"fdbased-vnet":           {black, draw.RingGlyph{}, true},
	"fdbased-buffered":       {violet, draw.RingGlyph{}, true},
	"sharedmem-processes":    {wine, draw.CrossGlyph{}, true},
	"fdbased-vnet-processes": {lilac, draw.SquareGlyph{}, true},
}

func (s style) line() draw.LineStyle {
	l := draw.LineStyle{Color: s.color, Width: vg.Points(1.8)}
	if s.peer {
		l.Dashes = []vg.Length{vg.Points(6), vg.Points(3)}
	}
	return l
}

func (s style) glyph() draw.GlyphStyle {
	return draw.GlyphStyle{Color: s.color, Radius: vg.Points(3.4), Shape: s.shape}
}
