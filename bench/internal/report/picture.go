// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"bytes"
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a picture. GitHub shows it 830 pixels wide or a little more.
const (
	width  = 720 * vg.Length(1)
	height = 400 * vg.Length(1)
	margin = 12 * vg.Length(1)
	header = 46 * vg.Length(1) // title and subject
	gap    = 14 * vg.Length(1) // between data and legend
)

// Text sizes. At a width of 830 pixels the smallest has 12.7.
const (
	titleSize = 14
	labelSize = 12
	tickSize  = 11
)

// MaxSeries is how many lines or bars a picture holds at most. The tables hold
// everything.
const MaxSeries = 8

// A Drawing describes a picture.
type Drawing interface {
	// Draw returns the picture of what was measured. It leaves out paths that were
	// not, and fails if there are none.
	Draw(Results, Histograms) (*Picture, error)
	// Paths returns the paths that the picture shows if all were measured.
	Paths() []string
}

// A Picture is a plot with its title above and its legend beside it.
type Picture struct {
	title   string
	subject string // of the vertical axis: written above it, where it need not be rotated
	plot    *plot.Plot
	legend  plot.Legend
	entries int
	colors  map[string]color.Color // of the paths drawn
}

func newPicture(title, x, y string) *Picture {
	p := &Picture{title: title, subject: y, plot: plot.New(), legend: plot.NewLegend(), colors: map[string]color.Color{}}
	p.plot.BackgroundColor = nil
	p.plot.X.Label.Text = x
	p.plot.X.Padding, p.plot.Y.Padding = vg.Points(6), vg.Points(6)
	for _, a := range []*plot.Axis{&p.plot.X, &p.plot.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(labelSize), sans(tickSize)
		a.Label.TextStyle.Color, a.Tick.Label.Color = ink, ink
		a.Color, a.Tick.Color = ink, ink
		a.Label.Padding = vg.Points(4)
	}
	lines := plotter.NewGrid()
	lines.Horizontal.Color, lines.Vertical.Color = grid, grid
	p.plot.Add(lines)
	p.legend.TextStyle.Font = sans(labelSize)
	p.legend.TextStyle.Color = ink
	p.legend.Top, p.legend.Left = true, true
	p.legend.YPosition = draw.PosCenter
	p.legend.Padding = vg.Points(7)
	p.legend.ThumbnailWidth = vg.Points(34)
	return p
}

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

// explain adds a path to the legend.
func (p *Picture) explain(path string, c color.Color, thumbs ...plot.Thumbnailer) {
	p.legend.Add(path, thumbs...)
	p.entries++
	p.colors[path] = c
}

// Colors returns the color of each path drawn.
func (p *Picture) Colors() map[string]color.Color { return p.colors }

// Ticks returns the marks of the horizontal axis.
func (p *Picture) Ticks() []plot.Tick {
	return p.plot.X.Tick.Marker.Ticks(p.plot.X.Min, p.plot.X.Max)
}

// Areas returns where on the picture data are drawn and where the legend is, which
// is empty if there is none.
func (p *Picture) Areas() (picture, data, legend vg.Rectangle) {
	c := draw.New(vgsvg.New(width, height))
	plot, beside := p.layout(c)
	return c.Rectangle, p.plot.DataCanvas(plot).Rectangle, beside.Rectangle
}

// layout divides a canvas into the part of the plot with its axes, below the title,
// and that of the legend, which is empty if there is none.
func (p *Picture) layout(c draw.Canvas) (data, legend draw.Canvas) {
	data = draw.Crop(c, margin, -margin, margin, -margin-header)
	if p.entries == 0 {
		return data, draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: data.Max, Max: data.Max}}
	}
	box := p.legend.Rectangle(data).Size()
	legend = data
	legend.Min.X = legend.Max.X - box.X
	// The first entry is level with the top of the axes.
	legend.Max.Y = p.plot.DataCanvas(data).Max.Y
	legend.Min.Y = legend.Max.Y - box.Y
	data.Max.X = legend.Min.X - gap
	return data, legend
}

func (p *Picture) draw(c draw.Canvas) {
	c.SetColor(background)
	c.Fill(c.Rectangle.Path())
	edge := draw.Crop(c, 0.5, -0.5, 0.5, -0.5).Rectangle
	c.StrokeLines(draw.LineStyle{Color: border, Width: 1}, []vg.Point{
		edge.Min, {X: edge.Max.X, Y: edge.Min.Y}, edge.Max, {X: edge.Min.X, Y: edge.Max.Y}, edge.Min})
	p.head(draw.Crop(c, margin, -margin, margin, -margin))
	data, legend := p.layout(c)
	p.plot.Draw(data)
	if p.entries > 0 {
		p.legend.Draw(legend)
	}
}

// head writes the title and, below it, what the vertical axis shows.
func (p *Picture) head(c draw.Canvas) {
	title := text.Style{Color: ink, Font: sans(titleSize), YAlign: draw.YTop, Handler: plot.DefaultTextHandler}
	c.FillText(title, vg.Point{X: c.Min.X, Y: c.Max.Y}, p.title)
	subject := title
	subject.Font = sans(labelSize)
	c.FillText(subject, vg.Point{X: c.Min.X, Y: c.Max.Y - 1.7*titleSize}, p.subject)
}

// SVG returns the picture as a vector graphic.
func (p *Picture) SVG() ([]byte, error) {
	c := vgsvg.New(width, height)
	p.draw(draw.New(c))
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	// Arial has the same metrics where Liberation is not installed.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), err
}

// PNG returns the picture as an image, for readers without vector graphics.
func (p *Picture) PNG() ([]byte, error) {
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144))}
	p.draw(draw.New(c))
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	return b.Bytes(), err
}

// Save writes the picture in both formats: name.svg and name.png.
func (p *Picture) Save(name string) error {
	for _, format := range []struct {
		suffix string
		encode func() ([]byte, error)
	}{{".svg", p.SVG}, {".png", p.PNG}} {
		encoded, err := format.encode()
		if err != nil {
			return fmt.Errorf("%s%s: %w", name, format.suffix, err)
		}
		if err := os.WriteFile(name+format.suffix, encoded, 0o666); err != nil {
			return err
		}
	}
	return nil
}
