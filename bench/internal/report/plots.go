// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// colors of the lines of a plot: those of Okabe and Ito, which people with any
// kind of sight can tell apart; the shapes of the points repeat with another
// period.
var colors = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff}, color.RGBA{0x22, 0x22, 0x22, 0xff},
}

var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}}

// Save draws a plot in both formats: name.svg and name.png.
func Save(p *plot.Plot, name string) error {
	for _, format := range []string{".svg", ".png"} {
		if err := p.Save(24*vg.Centimeter, 14*vg.Centimeter, name+format); err != nil {
			return err
		}
	}
	return nil
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Points(8)
	p.X.Padding, p.Y.Padding = vg.Points(4), vg.Points(4)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xdd}, color.Gray{0xdd}
	p.Add(grid)
	p.Legend.Padding = vg.Points(1)
	p.Legend.ThumbnailWidth = vg.Points(28)
	p.Legend.Top = true
	p.Legend.XOffs = vg.Points(-4)
	return p
}

// logarithmic makes an axis logarithmic, with plain numbers at 1, 2 and 5 times
// the powers of ten.
func logarithmic(a *plot.Axis) {
	a.Scale = plot.LogScale{}
	a.Tick.Marker = plot.TickerFunc(func(low, high float64) (ticks []plot.Tick) {
		if low <= 0 {
			return nil
		}
		wide := high/low > 2000
		for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
			for _, m := range []float64{1, 2, 5} {
				v := m * math.Pow(10, e)
				if v < low*0.999 || v > high*1.001 {
					continue
				}
				t := plot.Tick{Value: v}
				if m == 1 || !wide {
					t.Label = plain(v)
				}
				ticks = append(ticks, t)
			}
		}
		return ticks
	})
}

// widen gives a logarithmic axis of a single value some length. The plotter would
// let it begin below zero.
func widen(a *plot.Axis) {
	if a.Min == a.Max {
		a.Min, a.Max = a.Min/2, a.Max*2
	}
}

func plain(v float64) string {
	if v >= 1000 {
		return grouped(fmt.Sprintf("%.0f", v))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// A point of a line with its quartiles.
type point struct {
	x float64
	Summary
}

type points []point

func (ps points) Len() int                { return len(ps) }
func (ps points) XY(i int) (x, y float64) { return ps[i].x, ps[i].Median }
func (ps points) YError(i int) (low, up float64) {
	return ps[i].Median - ps[i].Q1, ps[i].Q3 - ps[i].Median
}

// add draws a line with its points and the quartiles around them.
func add(p *plot.Plot, n int, label string, ps points) error {
	line, marks, err := plotter.NewLinePoints(ps)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(ps)
	if err != nil {
		return err
	}
	style(n, line, marks)
	bars.Color = colors[n%len(colors)]
	p.Add(bars, line, marks)
	p.Legend.Add(label, line, marks)
	return nil
}

func style(n int, line *plotter.Line, marks *plotter.Scatter) {
	line.Color = colors[n%len(colors)]
	line.Width = vg.Points(1.3)
	if n >= len(colors) {
		line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
	}
	if marks != nil {
		marks.Color = line.Color
		marks.Shape = shapes[n%len(shapes)]
		marks.Radius = vg.Points(2.6)
	}
}

// PlotLines draws a figure of a suite, divided by scale, over the numbers that a
// key takes: a line for each value of the key lines.
func PlotLines(rs Results, suite, lines, over string, unit string, scale float64, title, x, y string) (*plot.Plot, error) {
	p := newPlot(title, x, y)
	logarithmic(&p.X)
	logarithmic(&p.Y)
	for n, value := range rs.Of(suite, lines) {
		var ps points
		for _, at := range rs.Of(suite, over) {
			number, err := strconv.ParseFloat(at, 64)
			if err != nil {
				continue // a mixture has no place on the axis
			}
			s, ok := rs.Summary(suite, Keys{lines: value, over: at}, unit)
			if !ok || s.Q1 <= 0 {
				continue
			}
			s.Median, s.Q1, s.Q3 = s.Median/scale, s.Q1/scale, s.Q3/scale
			ps = append(ps, point{number, s})
		}
		if len(ps) == 0 {
			continue
		}
		if err := add(p, n, value, ps); err != nil {
			return nil, err
		}
	}
	if math.IsInf(p.X.Max, 0) {
		return nil, fmt.Errorf("nothing of %s to draw: no %s", suite, unit)
	}
	widen(&p.X)
	widen(&p.Y)
	p.X.Max *= 4 // room for the legend
	return p, nil
}

// PlotTimes draws the distribution of round trip times of a load, or of a suite
// without loads if load is empty. The axis of percentiles is stretched towards
// the end, so that the slowest of a thousand have as much room as the rest.
func PlotTimes(rs Results, hs Histograms, suite, key, load, title string) (*plot.Plot, error) {
	p := newPlot(title, "round trip, µs", "percentile")
	logarithmic(&p.X)
	p.Y.Min, p.Y.Max = 0, 3.3
	p.Y.Tick.Marker = plot.ConstantTicks([]plot.Tick{
		{Value: 0, Label: "0"}, {Value: nines(0.5), Label: "50"}, {Value: 1, Label: "90"}, {Value: 2, Label: "99"}, {Value: 3, Label: "99.9"},
	})
	p.Legend.Top = false
	for n, value := range rs.Of(suite, key) {
		name := suite + "/" + key + "=" + value
		if load != "" {
			name = suite + "/load=" + load + "/" + key + "=" + value
		}
		h, ok := hs[name]
		if !ok {
			continue
		}
		line, err := plotter.NewLine(quantiles(h))
		if err != nil {
			return nil, err
		}
		style(n, line, nil)
		p.Add(line)
		p.Legend.Add(value, line)
	}
	if math.IsInf(p.X.Max, 0) {
		return nil, fmt.Errorf("nothing of %s to draw", suite)
	}
	widen(&p.X)
	p.X.Max *= 3
	return p, nil
}

// nines is the place of a quantile on the axis: 1 for 90 %, 2 for 99 %.
func nines(q float64) float64 { return -math.Log10(1 - q) }

// quantiles is a histogram as points on a plot, as far as there are samples.
func quantiles(h *hdrhistogram.Histogram) plotter.XYs {
	var ps plotter.XYs
	end := nines(1 - 1/float64(h.TotalCount()+1))
	for y := 0.0; y <= min(end, 3.3); y += 0.02 {
		q := 1 - math.Pow(10, -y)
		ps = append(ps, plotter.XY{X: max(float64(h.ValueAtQuantile(100*q))/1e3, 0.01), Y: y})
	}
	return ps
}

// PlotBars draws groups of bars: a group for each choice, a bar for each of the
// values of the key bars.
func PlotBars(rs Results, suite, bars string, values []string, unit string, groups []Keys, labels []string, title, y string) (*plot.Plot, error) {
	p := newPlot(title, "", y)
	width := vg.Points(32)
	for n, value := range values {
		var heights plotter.Values
		for _, g := range groups {
			keys := Keys{bars: value}
			for k, v := range g {
				keys[k] = v
			}
			s, _ := rs.Summary(suite, keys, unit)
			heights = append(heights, s.Median)
		}
		chart, err := plotter.NewBarChart(heights, width)
		if err != nil {
			return nil, err
		}
		chart.Color = colors[n%len(colors)]
		chart.LineStyle.Width = 0
		chart.Offset = width * vg.Length(float64(n)-float64(len(values)-1)/2)
		p.Add(chart)
		p.Legend.Add(value, chart)
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.6, float64(len(groups))-0.4
	p.Legend.Left = true
	p.Legend.XOffs = vg.Points(8)
	p.Y.Min, p.Y.Max = 0, 1.25*p.Y.Max
	return p, nil
}
