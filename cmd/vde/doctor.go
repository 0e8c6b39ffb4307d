// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	locators "github.com/go-vde/sdk/vnl"
)

func newDoctor() *cobra.Command {
	d := doctor{patience: 500 * time.Millisecond}
	var o netOption
	var j jsonOption
	cmd := &cobra.Command{
		Use:   "doctor [VNL]",
		Short: "Find out why a network cannot be joined, or what it can do",
		Long: `Joins the network that --net names, or VNL, which is the same, step by step as
a program would, tells what it finds, and where it fails, what would help. If
all is well, two endpoints of its own find out what gets through: in both
directions, up to which size, how fast, and how many frames are kept for one
that does not read. Others on the network see a few broadcasts. Fails if the
network cannot be used.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.out = j.text(cmd.OutOrStdout())
			vnl, err := o.orArg(args)
			if err != nil {
				return err
			}
			err = d.examine(cmd.Context(), vnl)
			if j.json {
				d.result.Usable = err == nil
				err = errors.Join(err, printJSON(cmd.OutOrStdout(), d.result))
			}
			return err
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.registerNet(cmd)
	j.registerJSON(cmd)
	return cmd
}

// A doctor examines a network and tells what it finds.
type doctor struct {
	out      io.Writer
	result   doctorResult
	patience time.Duration // how long a frame may take before it counts as lost
}

// A doctorResult is what vde doctor --json prints.
type doctorResult struct {
	Network      string    `json:"network"`
	Dirs         []string  `json:"dirs"`
	Usable       bool      `json:"usable"`
	Findings     []finding `json:"findings"`
	MaxFrameSize int       `json:"max_frame_bytes,omitempty"`
	RoundTrip    int64     `json:"round_trip_ns,omitempty"`
	Queue        int       `json:"queue_frames,omitempty"`
}

// A finding is one line of a doctorResult.
type finding struct {
	OK     bool   `json:"ok"`
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

func (d *doctor) ok(format string, args ...any) {
	d.result.Findings = append(d.result.Findings, finding{OK: true, What: fmt.Sprintf(format, args...)})
	fmt.Fprintf(d.out, "  ok    %s\n", printable(fmt.Sprintf(format, args...)))
}

// errSick is what the command fails with; the details have been told.
var errSick = errors.New("the network cannot be used like this")

// sick tells what is wrong and what would help.
func (d *doctor) sick(what, remedy string) error {
	d.result.Findings = append(d.result.Findings, finding{What: what, Remedy: remedy})
	fmt.Fprintf(d.out, "  FAIL  %s\n", printable(what))
	if remedy != "" {
		fmt.Fprintf(d.out, "        %s\n", printable(remedy))
	}
	return errSick
}

func (d *doctor) examine(ctx context.Context, vnl string) error {
	dirs, err := vde.Locate(vnl)
	if err != nil {
		return d.sick(err.Error(), "give the path of a switch's control directory, or a locator such as vde:///run/vde.ctl")
	}
	d.result.Network, d.result.Dirs = vnl, dirs
	fmt.Fprintf(d.out, "Network %q is %s.\n", vnl, printable(strings.Join(dirs, ", else ")))
	var failed error
	names := [2]string{vnl, vnl}
	for _, dir := range dirs {
		if failed = d.control(dir); failed == nil {
			names[1] = withoutPort(vnl, dir)
			break
		}
	}
	if failed != nil {
		return failed
	}
	var patients [2]*patient
	for i := range patients {
		s, err := d.join(ctx, names[i], i)
		if err != nil {
			return err
		}
		defer s.conn.Close()
		patients[i] = s
	}
	d.ok("frames go through %s", transport(patients[0].conn))
	return d.traffic(ctx, patients[0], patients[1])
}

// withoutPort returns a locator of the network vnl, which dir is the control directory
// of, that leaves the port to the switch. A switch forwards nothing between endpoints of
// one port, so that two which are to hear each other need two ports.
func withoutPort(vnl, dir string) string {
	_, params, err := locators.Parse(vnl).Bracketed()
	if err != nil || len(params) == 0 {
		return vnl
	}
	var kept []string
	for _, p := range params {
		if name := locators.MatchName(p.Key, []string{"port", "portgroup", "group", "mode"}); name == "group" || name == "mode" {
			kept = append(kept, name+"="+locators.Quote(p.Value))
		}
	}
	locator := locators.DefaultScheme + "://" + locators.Quote(dir)
	if len(kept) > 0 {
		locator += "[" + strings.Join(kept, "/") + "]"
	}
	return locator
}

// control looks at the control directory, what is above it, and its socket.
func (d *doctor) control(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return d.sick(err.Error(), "")
	}
	for _, path := range ancestors(dir) {
		fi, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == dir:
			return d.sick(path+" does not exist", "no switch serves this directory: check its name, or start one: vde switch "+path)
		case err != nil:
			return d.sick(err.Error(), "")
		case !fi.IsDir():
			return d.sick(fmt.Sprintf("%s is no directory (%s)", path, describe(fi)), "give the control directory of a switch")
		case !searchable(path):
			return d.sick(fmt.Sprintf("%s may not be entered (%s)", path, describe(fi)),
				"ask its owner for search permission (chmod +x), or join its group; to let a group in, start the switch with --mode 0660 --group NAME (vde_switch: -m 660 -g NAME)")
		}
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return d.sick(err.Error(), "")
	}
	d.ok("%s: %s", dir, describe(fi))

	ctl := filepath.Join(dir, "ctl")
	fi, err = os.Stat(ctl)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.sick(ctl+" does not exist", "no switch serves this directory, or it is starting: check the name, or start one: vde switch "+dir)
	case err != nil:
		return d.sick(err.Error(), "")
	case fi.Mode()&fs.ModeSocket == 0:
		return d.sick(fmt.Sprintf("%s is no socket (%s)", ctl, describe(fi)), "this is not the control directory of a switch")
	case !writable(ctl):
		return d.sick(fmt.Sprintf("%s may not be connected to (%s)", ctl, describe(fi)),
			"ask the owner of the switch for write permission: its mode and group (vde switch: --mode, --group; vde_switch: -m, -g)")
	}
	d.ok("%s: %s", ctl, describe(fi))
	return nil
}

// ancestors returns dir and the directories above it, from the root down.
func ancestors(dir string) []string {
	paths := []string{dir}
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		paths = append(paths, parent)
	}
	slices.Reverse(paths)
	return paths
}

// A patient is an endpoint of the doctor's own.
type patient struct {
	conn *vde.Conn
	mac  frame.MAC
	buf  []byte
}

// longest is the longest frame to try: 64 KiB and a header.
const longest = 1<<16 + frame.HeaderLen

// join joins the network as endpoint i.
func (d *doctor) join(ctx context.Context, vnl string, i int) (*patient, error) {
	start := time.Now()
	conn, err := vde.Open(ctx, vnl, drivers(), vde.WithDescription("vde doctor"), vde.WithMaxFrameSize(longest))
	if err != nil {
		remedy := ""
		if i > 0 {
			remedy = "one client can join, but not a second one"
		}
		return nil, d.sick(err.Error(), remedy) // the error names the remedy
	}
	d.ok("joined %v in %v: the switch can write to our socket", conn.LocalAddr(), time.Since(start).Round(10*time.Microsecond))
	p := &patient{conn: conn, buf: make([]byte, longest), mac: frame.MAC{2}}
	_, _ = rand.Read(p.mac[1:]) // never fails
	return p, nil
}

// probe returns a frame of size bytes from p to dst that is unlike others.
func (p *patient) probe(dst frame.MAC, size int) []byte {
	f := frame.AppendHeader(make([]byte, 0, size), dst, p.mac, frame.EtherTypeExperimental)
	f = append(f, "vde doctor "...)
	f = f[:max(size, len(f))]
	_, _ = rand.Read(f[frame.HeaderLen+11:])
	return f
}

// hears reports whether f arrives at p, whole, within patience and before last.
func (p *patient) hears(f, last []byte, patience time.Duration) (bool, error) {
	defer p.conn.SetReadDeadline(time.Time{})
	p.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := p.conn.Read(p.buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, err
		case bytes.Equal(p.buf[:n], f):
			return true, nil
		case last != nil && bytes.Equal(p.buf[:n], last):
			return false, nil
		}
	}
}

// passes reports whether a frame of size bytes gets from one endpoint to the
// other. A small frame follows, and if only that arrives there is no need to
// wait. On a busy network either may be lost, so there are two chances.
func (d *doctor) passes(from, to *patient, dst frame.MAC, size int) (bool, error) {
	for range 2 {
		f, last := from.probe(dst, size), from.probe(dst, smallest)
		if _, err := from.conn.Write(f); errors.Is(err, vde.ErrFrameSize) {
			return false, nil // more than the kernel takes
		} else if err != nil {
			return false, err
		}
		if _, err := from.conn.Write(last); err != nil {
			return false, err
		}
		if heard, err := to.hears(f, last, d.patience); heard || err != nil {
			return heard, err
		}
	}
	return false, nil
}

const smallest = 60 // of a frame, without the check sequence

// traffic finds out what gets from a to b and back.
func (d *doctor) traffic(ctx context.Context, a, b *patient) error {
	stop := context.AfterFunc(ctx, func() { a.conn.Close(); b.conn.Close() })
	defer stop()
	if err := d.basics(a, b); err != nil {
		return d.sick(err.Error(), "")
	}
	size, err := d.largest(a, b)
	if err != nil {
		return d.sick(err.Error(), "")
	}
	d.result.MaxFrameSize = size
	d.ok("frames of up to %d bytes get through: MTU %d", size, size-frame.HeaderLen)
	rtt, err := d.roundTrip(a, b)
	if err != nil {
		return d.sick(err.Error(), "")
	}
	d.result.RoundTrip = rtt.Nanoseconds()
	d.ok("there and back between two endpoints takes %v (median)", rtt.Round(time.Microsecond))
	sent, kept, err := d.queue(a, b)
	if err != nil {
		return d.sick(err.Error(), "")
	}
	d.result.Queue = kept
	if kept < sent {
		d.ok("an endpoint that does not read is kept %d frames of %d bytes; the switch drops what comes then", kept, smallest)
	} else {
		d.ok("an endpoint that does not read is kept %d frames of %d bytes or more", kept, smallest)
	}
	return nil
}

// basics makes both endpoints known and tries both directions.
func (d *doctor) basics(a, b *patient) error {
	for _, way := range []struct {
		from, to *patient
		dst      frame.MAC
		what     string
	}{
		{a, b, frame.Broadcast(), "a broadcast"},
		{b, a, frame.Broadcast(), "a broadcast back"},
		{a, b, b.mac, "a frame to one endpoint"},
		{b, a, a.mac, "a frame back"},
	} {
		heard, err := d.passes(way.from, way.to, way.dst, smallest)
		if err != nil {
			return err
		}
		if !heard {
			return fmt.Errorf("%s does not arrive within %v: the ports may be in different VLANs or blocked, or the switch stands still", way.what, d.patience)
		}
	}
	d.ok("frames arrive, to all and to one, in both directions")
	return nil
}

// largest returns the size of the longest frame that arrives whole.
func (d *doctor) largest(a, b *patient) (int, error) {
	good, bad := smallest, longest+1
	for try := 1514; bad-good > 1; try = (good + bad) / 2 {
		ok, err := d.passes(a, b, b.mac, try)
		if err != nil {
			return 0, err
		}
		if ok {
			good = try
		} else {
			bad = try
		}
	}
	return good, nil
}

var errLost = errors.New("a frame that had got through before was lost: the network is overloaded")

// roundTrip returns the median of how long a frame takes there and another back.
func (d *doctor) roundTrip(a, b *patient) (time.Duration, error) {
	const rounds = 101
	times := make([]time.Duration, 0, rounds)
	for range rounds {
		there, back := a.probe(b.mac, smallest), b.probe(a.mac, smallest)
		start := time.Now()
		if _, err := a.conn.Write(there); err != nil {
			return 0, err
		}
		if heard, err := b.hears(there, nil, d.patience); err != nil || !heard {
			return 0, cmp.Or(err, errLost)
		}
		if _, err := b.conn.Write(back); err != nil {
			return 0, err
		}
		if heard, err := a.hears(back, nil, d.patience); err != nil || !heard {
			return 0, cmp.Or(err, errLost)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[rounds/2], nil
}

// queue sends to b, which does not read, and returns how many of the frames
// sent it finds when it does.
func (d *doctor) queue(a, b *patient) (sent, kept int, err error) {
	const most = 4096
	f := a.probe(b.mac, smallest)
	for ; sent < most; sent++ {
		a.conn.SetWriteDeadline(time.Now().Add(d.patience))
		if _, err := a.conn.Write(f); errors.Is(err, os.ErrDeadlineExceeded) {
			break // the switch makes us wait instead
		} else if err != nil {
			return 0, 0, err
		}
	}
	for {
		heard, err := b.hears(f, nil, d.patience)
		if err != nil || !heard {
			return sent, kept, err
		}
		kept++
	}
}
