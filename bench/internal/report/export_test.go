// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"fmt"
	"image/color"
)

// Background, Ink and Palette are the colors of pictures.
var (
	Background = background
	Ink        = ink
	Palette    = map[string]color.RGBA{"blue": blue, "red": red, "teal": teal, "black": black, "wine": wine, "amber": amber, "violet": violet, "lilac": lilac}
)

// Styles returns how each path looks, in words, and its color.
func Styles() (looks map[string]string, colors map[string]color.RGBA) {
	looks, colors = map[string]string{}, map[string]color.RGBA{}
	for path, s := range styles {
		looks[path] = fmt.Sprintf("%v %T dashed=%v", s.color, s.shape, s.peer)
		colors[path] = s.color
	}
	return looks, colors
}
