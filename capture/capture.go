// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package capture writes the frames of connections to pcapng files, which
// Wireshark and tcpdump read. Use it to record what a program sends and receives,
// with direction and drops; to record what other programs send, capture on a
// connection to a hub or to a mirror port of the switch.
//
//	file, err := capture.NewFile(w, 0)
//	...
//	eth0, err := file.Interface("eth0")
//	...
//	conn, err := vde.Open(ctx, vnl, vde.WithFrameHook(eth0.Record))
//	...
//	eth0.CountDrops(conn)
//	...
//	conn.Close()
//	err = file.Close()
//
// The package's example is a complete program.
//
// Each interface of a file is one connection. Its frames carry the time at which
// they were seen, in nanoseconds, and their direction. The link type is Ethernet,
// without frame check sequence.
//
// There is one setting, the snapshot length. It is an argument of [NewFile]; the
// package has no options.
package capture

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// A File is a capture in progress. Its methods may be called from any goroutine.
type File struct {
	mu      sync.Mutex
	out     io.Writer        // used until there is w
	w       *pcapgo.NgWriter // guarded by mu; nil until there is an interface, with which the format begins
	ifs     []*Interface     // guarded by mu
	err     error            // guarded by mu; the first failure to write, after which nothing is written
	closed  bool             // guarded by mu
	snapLen int
}

// An Interface is one connection of a file. Its methods may be called from any
// goroutine.
type Interface struct {
	file *File
	id   int

	begin    time.Time // immutable
	seen     uint64    // guarded by file.mu; frames
	conn     *vde.Conn // guarded by file.mu; nil if drops are not counted
	recorded uint64    // guarded by file.mu; drops already in the file
}

// NewFile returns a capture that is written to w through a buffer. snapLen is how
// many bytes of each frame are kept; 0 keeps all.
func NewFile(w io.Writer, snapLen int) (*File, error) {
	if snapLen < 0 {
		return nil, fmt.Errorf("capture: snapshot length %d, want a positive number of bytes, or 0 for all", snapLen)
	}
	return &File{out: w, snapLen: snapLen}, nil
}

// Interface adds an interface named name. The error is [os.ErrClosed] after Close,
// or the first failure to write.
func (f *File) Interface(name string) (*Interface, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, os.ErrClosed
	}
	if f.err != nil {
		return nil, f.err
	}
	description := pcapgo.NgInterface{
		Name: name, Description: "VDE connection", LinkType: layers.LinkTypeEthernet,
		SnapLength: uint32(f.snapLen), OS: runtime.GOOS, TimestampResolution: 9,
	}
	i := &Interface{file: f, begin: time.Now()}
	if f.w == nil {
		application := filepath.Base(os.Args[0])
		w, err := pcapgo.NewNgWriterInterface(f.out, description, pcapgo.NgWriterOptions{
			SectionInfo: pcapgo.NgSectionInfo{Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: application},
		})
		if err != nil {
			f.err = err
			return nil, err
		}
		f.w = w
	} else {
		var err error
		if i.id, err = f.w.AddInterface(description); err != nil {
			f.err = err
			return nil, err
		}
	}
	f.ifs = append(f.ifs, i)
	return i, nil
}

// CountDrops adds to the file how many frames c, the connection of this
// interface, has discarded instead of delivering them: with the next frame that
// is recorded, and in the counters at the end.
func (i *Interface) CountDrops(c *vde.Conn) {
	i.file.mu.Lock()
	defer i.file.mu.Unlock()
	i.conn = c
}

var (
	inbound  = &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	outbound = &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionOutbound}
)

// Record appends a frame. It is the function to give to [vde.WithFrameHook]. Err and
// Close return the failure if a frame cannot be written.
func (i *Interface) Record(d vde.Direction, b frame.Frame) {
	options := pcapgo.NgPacketOptions{Flags: inbound}
	if d == vde.Sent {
		options.Flags = outbound
	}
	i.record(time.Now(), b, len(b), options, i.newDrops)
}

// RecordCopy appends a frame that somebody else has captured at the time t: data are its
// first bytes, and length is how many it had. drops are frames that were not captured since
// the one before. Failures are those of Record.
func (i *Interface) RecordCopy(t time.Time, data []byte, length int, drops uint64) {
	i.record(t, data, length, pcapgo.NgPacketOptions{}, func() uint64 {
		i.recorded += drops
		return drops
	})
}

// record appends a frame; newDrops is called with the file locked.
func (i *Interface) record(t time.Time, b []byte, length int, options pcapgo.NgPacketOptions, newDrops func() uint64) {
	f := i.file
	f.mu.Lock()
	defer f.mu.Unlock()
	i.seen++
	if f.closed || f.err != nil {
		return
	}
	if f.snapLen > 0 && len(b) > f.snapLen {
		b = b[:f.snapLen]
	}
	if drops := newDrops(); drops > 0 {
		options.DropCount = &drops
	}
	info := gopacket.CaptureInfo{Timestamp: t, CaptureLength: len(b), Length: length, InterfaceIndex: i.id}
	f.err = f.w.WritePacketWithOptions(info, b, options)
}

// newDrops returns the drops since the last call; file.mu is held.
func (i *Interface) newDrops() uint64 {
	if i.conn == nil {
		return 0
	}
	s := i.conn.Stats()
	all := s.RxRunts + s.RxTruncated + s.RxDiscarded
	drops := all - i.recorded
	i.recorded = all
	return drops
}

// Flush writes what is buffered.
func (f *File) Flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && f.w != nil && !f.closed {
		f.err = f.w.Flush()
	}
	return f.err
}

// Err returns the first failure to write, after which Record does nothing.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Close appends the counters of each interface and writes what is buffered. It
// does not close the writer. After Close, Record does nothing. Calls after the
// first return the same error.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.err
	}
	f.closed = true
	if f.w == nil {
		return f.err
	}
	now := time.Now()
	for _, i := range f.ifs {
		if f.err != nil {
			break
		}
		i.newDrops()
		f.err = f.w.WriteInterfaceStats(i.id, pcapgo.NgInterfaceStatistics{
			LastUpdate: now, StartTime: i.begin, EndTime: now,
			PacketsReceived: i.seen, PacketsDropped: i.recorded,
		})
	}
	if f.err == nil {
		f.err = f.w.Flush()
	}
	return f.err
}
