// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// si returns a number that is not negative in at most five characters, such as 12.3k.
func si(v float64) string {
	if v < 9.95 && v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	const units = " kMGTPEZ"
	u := 0
	for v >= 999.5 && u < len(units)-1 {
		v /= 1000
		u++
	}
	digits := 0
	if u > 0 && v < 99.95 {
		digits = 1
	}
	return strings.TrimSpace(strconv.FormatFloat(v, 'f', digits, 64) + units[u:u+1])
}

// count returns a rate, or nothing for none.
func count(v float64) string {
	if v == 0 {
		return "-"
	}
	return si(v)
}

// age returns a time in its two largest units.
func age(d time.Duration) string {
	d = max(0, d).Truncate(time.Second)
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%02dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%02dm", hours, minutes)
	}
	return fmt.Sprintf("%dm%02ds", minutes, int(d.Seconds())%60)
}

// fit returns s in exactly width cells, to the right if so wanted.
func fit(s string, width int, right bool) string {
	w := ansi.StringWidth(s)
	if w > width {
		s = ansi.Truncate(s, width, "~")
		w = ansi.StringWidth(s)
	}
	pad := strings.Repeat(" ", max(0, width-w))
	if right {
		return pad + s
	}
	return s + pad
}

// cut returns s in at most width cells.
func cut(s string, width int) string { return ansi.Truncate(s, max(0, width), "") }

// Levels of a graph in one cell, from nothing to full.
const (
	blocks = " ▁▂▃▄▅▆▇█"
	ascii  = " .:-=+*%#"
)

// graph draws values in width columns, lines from the top down. Several values in one
// column are drawn as the greatest of them. The greatest of all fills its column, and what
// is not zero is never drawn as nothing.
func graph(values []float64, width, lines int, levels string) []string {
	symbols := []rune(levels)
	steps := len(symbols) - 1
	columns := make([]float64, max(0, min(width, len(values))))
	if len(columns) == 0 {
		values = nil
	}
	for i, v := range values {
		at := &columns[i*len(columns)/len(values)]
		*at = max(*at, v)
	}
	greatest := 0.0
	if len(columns) > 0 {
		greatest = slices.Max(columns)
	}
	drawn := make([]string, lines)
	for line := range drawn {
		var b strings.Builder
		for _, v := range columns {
			level := 0
			if v > 0 {
				level = max(1, int(math.Round(v/greatest*float64(steps*lines))))
			}
			b.WriteRune(symbols[min(max(0, level-(lines-1-line)*steps), steps)])
		}
		drawn[line] = b.String()
	}
	return drawn
}
