// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// styled returns the styles of paths, of which there must be no more than a
// picture holds.
func styled(paths []string) ([]style, error) {
	if len(paths) > MaxSeries {
		return nil, fmt.Errorf("%d paths in one picture, more than %d", len(paths), MaxSeries)
	}
	list := make([]style, len(paths))
	for i, path := range paths {
		s, ok := styles[path]
		if !ok {
			return nil, fmt.Errorf("path %q has no color", path)
		}
		list[i] = s
	}
	return list, nil
}

// Lines is a line for each path: a figure over the sizes, or numbers, at which it
// was measured.
type Lines struct {
	Title, X, Y string
	Suite       string
	Key         string // of the paths
	Shown       []string
	Over        string // the key of the numbers
	Where       Keys   // what else the name holds; may be nil
	Unit        string
	Scale       float64 // the figure is divided by it
}

// Paths returns the paths of the lines.
func (l Lines) Paths() []string { return l.Shown }

// Draw draws both axes logarithmic, with ticks at the numbers measured.
func (l Lines) Draw(rs Results, _ Histograms) (*Picture, error) {
	look, err := styled(l.Shown)
	if err != nil {
		return nil, err
	}
	p := newPicture(l.Title, l.X, l.Y)
	var ticks []plot.Tick
	for _, at := range rs.Of(l.Suite, l.Over) {
		if x, err := strconv.ParseFloat(at, 64); err == nil { // a mixture has no place on the axis
			ticks = append(ticks, plot.Tick{Value: x, Label: at})
		}
	}
	for i, path := range l.Shown {
		ps := l.points(rs, path, ticks)
		if len(ps) == 0 {
			continue
		}
		if err := p.addLine(path, look[i], ps); err != nil {
			return nil, err
		}
	}
	if p.entries == 0 {
		return nil, fmt.Errorf("nothing of %s to draw: no %s", l.Suite, l.Unit)
	}
	logarithmic(&p.plot.X)
	logarithmic(&p.plot.Y)
	p.plot.X.Tick.Marker = plot.ConstantTicks(ticks)
	return p, nil
}

// points returns what was measured of a path, from left to right.
func (l Lines) points(rs Results, path string, ticks []plot.Tick) (ps points) {
	for _, tick := range ticks {
		keys := Keys{l.Key: path, l.Over: tick.Label}
		for k, v := range l.Where {
			keys[k] = v
		}
		s, ok := rs.Summary(l.Suite, keys, l.Unit)
		if !ok || s.Q1 <= 0 {
			continue
		}
		s.Median, s.Q1, s.Q3 = s.Median/l.Scale, s.Q1/l.Scale, s.Q3/l.Scale
		ps = append(ps, point{tick.Value, s})
	}
	return ps
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

// addLine draws a line with its points and the quartiles around them.
func (p *Picture) addLine(path string, look style, ps points) error {
	line, marks, err := plotter.NewLinePoints(ps)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(ps)
	if err != nil {
		return err
	}
	line.LineStyle, marks.GlyphStyle = look.line(), look.glyph()
	bars.LineStyle = draw.LineStyle{Color: look.color, Width: vg.Points(1)}
	p.plot.Add(bars, line, marks)
	p.explain(path, line.Color, line, marks)
	return nil
}

// Times is a line for each path: the distribution of its round trip times.
type Times struct {
	Title string
	Suite string
	Key   string // of the paths
	Shown []string
	Load  string // empty in a suite without loads
}

// Paths returns the paths of the lines.
func (d Times) Paths() []string { return d.Shown }

// Draw stretches the axis of percentiles towards the end, so that the slowest of a
// thousand have as much space as the rest.
func (d Times) Draw(_ Results, hs Histograms) (*Picture, error) {
	look, err := styled(d.Shown)
	if err != nil {
		return nil, err
	}
	p := newPicture(d.Title, "round trip, µs", "percentile of round trips")
	for i, path := range d.Shown {
		name := d.Suite + "/" + d.Key + "=" + path
		if d.Load != "" {
			name = d.Suite + "/load=" + d.Load + "/" + d.Key + "=" + path
		}
		h, ok := hs[name]
		if !ok {
			continue
		}
		line, err := plotter.NewLine(quantiles(h))
		if err != nil {
			return nil, err
		}
		marks, err := plotter.NewScatter(marked(h))
		if err != nil {
			return nil, err
		}
		line.LineStyle, marks.GlyphStyle = look[i].line(), look[i].glyph()
		p.plot.Add(line, marks)
		p.explain(path, line.Color, line, marks)
	}
	if p.entries == 0 {
		return nil, fmt.Errorf("nothing of %s to draw", d.Suite)
	}
	logarithmic(&p.plot.X)
	p.plot.Y.Min, p.plot.Y.Max = 0, top
	p.plot.Y.Tick.Marker = plot.ConstantTicks([]plot.Tick{
		{Value: 0, Label: "0"}, {Value: nines(0.5), Label: "50"}, {Value: 1, Label: "90"}, {Value: 2, Label: "99"}, {Value: 3, Label: "99.9"},
	})
	return p, nil
}

// top is the end of the axis of percentiles, at 99.95 %.
const top = 3.3

// nines is the place of a quantile on the axis: 1 for 90 %, 2 for 99 %.
func nines(q float64) float64 { return -math.Log10(1 - q) }

// end is the highest place for which a histogram has samples.
func end(h *hdrhistogram.Histogram) float64 {
	return min(nines(1-1/float64(h.TotalCount()+1)), top)
}

// quantiles is a histogram as points on a plot.
func quantiles(h *hdrhistogram.Histogram) (ps plotter.XYs) {
	for y := 0.0; y <= end(h); y += 0.02 {
		ps = append(ps, at(h, y))
	}
	return ps
}

// marked is the points that carry the shape of the path.
func marked(h *hdrhistogram.Histogram) (ps plotter.XYs) {
	for _, y := range []float64{nines(0.5), 1, 2, 3} {
		if y <= end(h) {
			ps = append(ps, at(h, y))
		}
	}
	return ps
}

// at is the time in microseconds at a place on the axis.
func at(h *hdrhistogram.Histogram, y float64) plotter.XY {
	q := 1 - math.Pow(10, -y)
	return plotter.XY{X: max(float64(h.ValueAtQuantile(100*q))/1e3, 0.01), Y: y}
}

// Bars is a bar for each path, in groups. A bar has its name and its figure beside
// it, so there is no legend.
type Bars struct {
	Title, Subject string
	Suite          string
	Key            string // of the paths
	Groups         [][]string
	Where          Keys // what else the name holds; may be nil
	Unit           string
}

// Paths returns the paths of the bars.
func (b Bars) Paths() (paths []string) {
	for _, group := range b.Groups {
		paths = append(paths, group...)
	}
	return paths
}

// Draw draws the first bar at the top and leaves the space of one between groups.
func (b Bars) Draw(rs Results, _ Histograms) (*Picture, error) {
	look, err := styled(b.Paths())
	if err != nil {
		return nil, err
	}
	p := newPicture(b.Title, "", b.Subject)
	var names []plot.Tick
	var labels plotter.XYLabels
	place, n := 0.0, 0
	for _, group := range b.Groups {
		for _, path := range group {
			keys := Keys{b.Key: path}
			for k, v := range b.Where {
				keys[k] = v
			}
			if s, ok := rs.Summary(b.Suite, keys, b.Unit); ok {
				if err := p.addBar(path, place, s.Median, look[n]); err != nil {
					return nil, err
				}
				names = append(names, plot.Tick{Value: place, Label: path})
				labels.XYs = append(labels.XYs, plotter.XY{X: s.Median, Y: place})
				labels.Labels = append(labels.Labels, Number(s.Median))
				place--
			}
			n++
		}
		place--
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("nothing of %s to draw: no %s", b.Suite, b.Unit)
	}
	if err := p.addLabels(labels); err != nil {
		return nil, err
	}
	p.plot.Y.Tick.Marker = plot.ConstantTicks(names)
	p.plot.Y.Tick.Length = 0
	p.plot.X.Min, p.plot.X.Max = 0, 1.12*p.plot.X.Max
	p.plot.Y.Min, p.plot.Y.Max = place+1.3, 0.7
	return p, nil
}

// addBar draws one bar to the right.
func (p *Picture) addBar(path string, place, length float64, look style) error {
	bar, err := plotter.NewBarChart(plotter.Values{length}, vg.Points(24))
	if err != nil {
		return err
	}
	bar.Horizontal, bar.XMin = true, place
	bar.Color, bar.LineStyle.Width = look.color, 0
	p.plot.Add(bar)
	p.colors[path] = bar.Color
	return nil
}

// addLabels writes figures to the right of their bars.
func (p *Picture) addLabels(labels plotter.XYLabels) error {
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range texts.TextStyle {
		texts.TextStyle[i].Font, texts.TextStyle[i].Color = sans(tickSize), ink
		texts.TextStyle[i].YAlign = draw.YCenter
	}
	texts.Offset.X = vg.Points(5)
	p.plot.Add(texts)
	return nil
}

// logarithmic makes an axis logarithmic, with plain numbers at 1, 2 and 5 times
// the powers of ten. An axis with a single value gets some length: the plotter
// would let it begin below zero.
func logarithmic(a *plot.Axis) {
	if a.Min == a.Max {
		a.Min, a.Max = a.Min/2, a.Max*2
	}
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

func plain(v float64) string {
	if v >= 1000 {
		return grouped(fmt.Sprintf("%.0f", v))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
