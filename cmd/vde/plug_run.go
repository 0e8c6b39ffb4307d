// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/go-vde/sdk/capture"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vde"
)

// A plug is a vde plug that runs.
type plug struct {
	*plugOptions
	out, messages io.Writer
	line          *impair.Config // nil: a good line

	conns    [2]*vde.Conn // of the networks, or of what stands for the second one
	impaired *impair.Line // around the first, or nil
	recorder recorder
	result   plugResult
}

// A plugResult is what vde plug --json prints.
type plugResult struct {
	Networks [2]string       `json:"networks"`
	Conns    [2]vde.Stats    `json:"conns"`
	Passed   [2]vde.Bridged  `json:"passed"` // from the first network, and to it
	Line     *[2]impairStats `json:"line,omitempty"`
	Reason   string          `json:"reason"`
}

// impairStats are the counters of one direction of the line, in the order of
// plugResult.Passed.
type impairStats = impair.Stats

// open opens both sides. The first is opened with a hook if it is captured.
func (p *plug) open(ctx context.Context, nets, command []string) error {
	opts, err := p.options(0)
	if err != nil {
		return err
	}
	if p.capture != "" {
		opts = append(opts, vde.WithFrameHook(p.recorder.record))
	}
	if p.conns[0], err = vde.Open(ctx, nets[0], opts...); err != nil {
		return err
	}
	// Joined first, so that a plug which cannot begin leaves an earlier file alone.
	if p.conns[1], err = p.openOther(ctx, nets, command); err != nil {
		return err
	}
	if p.capture != "" {
		if err := p.recorder.open(ctx, p.capture, p.snapLen, p.out, p.conns[0]); err != nil {
			return err
		}
	}
	for i, c := range p.conns {
		p.result.Networks[i] = c.LocalAddr().String()
	}
	if p.line != nil {
		p.impaired, err = impair.New(p.conns[0], *p.line)
	}
	if p.verbose && err == nil {
		fmt.Fprintf(p.messages, "Passing frames between %s and %s.\n", printable(p.result.Networks[0]), printable(p.result.Networks[1]))
	}
	return err
}

// pass passes frames until one side ends, or the command is told to end.
func (p *plug) pass(ctx context.Context) error {
	first := p.conns[0]
	if p.impaired != nil {
		first = p.impaired.Conn()
	}
	stop := p.recorder.flushWhile()
	var err error
	p.result.Passed[0], p.result.Passed[1], err = vde.Bridge(ctx, first, p.conns[1])
	stop()
	p.result.Reason = err.Error()
	if p.verbose {
		fmt.Fprintf(p.messages, "Ended: %s.\n", printable(err.Error()))
	} else if why := commandEnd(err); why != nil && ctx.Err() == nil {
		fmt.Fprintf(p.messages, "vde: %s\n", printable(why.Error()))
	}
	if errors.Is(err, vde.ErrHangup) || ctx.Err() != nil {
		return nil
	}
	return err
}

// close closes both sides, which lets what they hold go out, and reports.
func (p *plug) close() (err error) {
	for i := len(p.conns) - 1; i >= 0; i-- {
		switch c := p.conns[i]; {
		case i == 0 && p.impaired != nil:
			err = errors.Join(err, p.impaired.Conn().Close())
		case c != nil:
			err = errors.Join(err, c.Close())
		}
	}
	err = errors.Join(err, p.recorder.close())
	if p.result.Reason == "" {
		return err // it has not begun
	}
	for i, c := range p.conns {
		p.result.Conns[i] = c.Stats()
	}
	if p.impaired != nil {
		out, in := p.impaired.Stats()
		p.result.Line = &[2]impairStats{in, out}
	}
	if p.stats || p.verbose {
		p.summary()
	}
	if p.json {
		err = errors.Join(err, printJSON(p.out, p.result))
	}
	return err
}

// summary prints what became of all frames.
func (p *plug) summary() {
	w := tabwriter.NewWriter(p.messages, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "direction\treceived\tno frames\tlost on the line\tnot accepted\tsent\tunsent\t")
	for i, name := range []string{"from the first network", "to the first network"} {
		from, to := p.result.Conns[i], p.result.Conns[1-i]
		var lost uint64
		if p.result.Line != nil {
			s := p.result.Line[i]
			lost = s.Lost + s.Partitioned + s.Overflowed + s.Refused + s.Pending
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, from.RxFrames,
			from.RxRunts+from.RxTruncated+from.RxEmpty+from.RxForeign+from.RxDiscarded, lost, p.result.Passed[i].Lost, to.TxFrames, to.TxUnsent)
	}
	_ = w.Flush() // the standard error is where a failure would be told
}

// A recorder writes the frames of a connection to a pcapng file. Its hook is given to
// the connection before there is a file.
type recorder struct {
	file *capture.File
	dest io.Closer // nil: the standard output

	mu   sync.Mutex
	port *capture.Interface // guarded by mu; nil until there is a file
}

func (r *recorder) record(d vde.Direction, f frame.Frame) {
	r.mu.Lock()
	port := r.port
	r.mu.Unlock()
	if port != nil {
		port.Record(d, f)
	}
}

// open begins the file name, or the standard output.
func (r *recorder) open(ctx context.Context, name string, snapLen int, out io.Writer, conn *vde.Conn) (err error) {
	w := out
	if name != "-" {
		f, err := createCapture(ctx, name)
		if err != nil {
			return err
		}
		w, r.dest = f, f
	}
	if r.file, err = capture.NewFile(w, snapLen); err != nil {
		return err
	}
	port, err := r.file.Interface("vde")
	if err != nil {
		return err
	}
	port.CountDrops(conn)
	r.mu.Lock()
	r.port = port
	r.mu.Unlock()
	return r.file.Flush()
}

// flushPause is how long a frame may wait to be in the file.
const flushPause = 100 * time.Millisecond

// flushWhile writes to the file what has come, until stop is called.
func (r *recorder) flushWhile() (stop func()) {
	if r.file == nil {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(flushPause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = r.file.Flush() // close returns the first failure
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

func (r *recorder) close() (err error) {
	if r.file != nil {
		err = r.file.Close()
	}
	if r.dest != nil {
		err = errors.Join(err, r.dest.Close())
	}
	return err
}
