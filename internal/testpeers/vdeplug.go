// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// streamMax is the longest frame that vde_plug takes from its standard input. It
// loses longer ones, and the next one with them.
const streamMax = 9232

// A VdePlug is a running vde_plug whose standard input and output the test uses. Send and Recv may be called at
// the same time, each from one goroutine at a time.
type VdePlug struct {
	*Process
	in *os.File

	mu  sync.Mutex // serializes Recv
	out *os.File
	buf []byte // read from out and not yet returned; mu held
}

// StartVdePlug runs a vde_plug on network, a locator or a directory, until the test ends. The options precede the
// network on the command line, for example "-D", "my station".
//
// On a local network (a path or vde://) it returns when vde_plug has finished its handshake, so frames that are
// sent to it from then on arrive. On any other network vde_plug may still be opening; frames given to Send wait
// for it.
func StartVdePlug(t testing.TB, network string, options ...string) *VdePlug {
	t.Helper()
	return startVdePlug(t, nil, nil, network, options)
}

// StartVdePlugFiles is StartVdePlug with files that vde_plug inherits as the descriptors from 3 on.
func StartVdePlugFiles(t testing.TB, files []*os.File, network string, options ...string) *VdePlug {
	t.Helper()
	return startVdePlug(t, nil, files, network, options)
}

// startVdePlug runs a vde_plug, in a network namespace if n is not nil.
func startVdePlug(t testing.TB, n *Namespace, files []*os.File, network string, options []string) *VdePlug {
	t.Helper()
	needRealPeers(t, "vde_plug")
	in, childIn, err := recordPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	defer childIn.Close()
	out, childOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	defer childOut.Close()

	args := append(append([]string{"vde_plug"}, options...), network)
	p := &VdePlug{in: in, out: out}
	p.Process = newProcess(t, ProcessConfig{Args: args, Namespace: n, Files: files, stdin: childIn, stdout: childOut})
	if err := startPlug(p.Process, network); err != nil {
		t.Fatal(err)
	}
	return p
}

// startPlug starts a vde_plug and waits until it has joined network, if that is a local one.
func startPlug(p *Process, network string) error {
	path, ok := localPath(network)
	if !ok {
		return p.start()
	}
	w, err := watchDeleted(joinDirs(path)...)
	if err != nil {
		return err
	}
	defer w.close()
	if err := p.start(); err != nil {
		return err
	}
	ctx, cancel := bounded(context.Background())
	defer cancel()
	return p.await(ctx, func(ctx context.Context) error {
		if err := joined(ctx, w, p.PID()); err != nil {
			return fmt.Errorf("join %s: %w", network, err)
		}
		return nil
	})
}

// localPath returns the control directory a locator names, if it names one.
func localPath(network string) (string, bool) {
	if module, rest, ok := strings.Cut(network, "://"); ok {
		if module != "vde" {
			return "", false
		}
		network = rest
	}
	network, _, _ = strings.Cut(network, "[")
	info, err := os.Stat(network)
	return network, err == nil && info.IsDir()
}

// Send sends one frame. It waits while vde_plug does not read.
func (p *VdePlug) Send(frame []byte) error {
	if len(frame) > streamMax {
		return fmt.Errorf("testpeers: vde_plug takes no frame of %d bytes", len(frame))
	}
	record := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(frame)), uint16(len(frame)))
	_, err := p.in.Write(append(record, frame...))
	return err
}

// Recv waits for the next frame that vde_plug receives. Without a deadline in ctx it waits at most 30 seconds. It
// returns [io.EOF] when vde_plug has ended.
func (p *VdePlug) Recv(ctx context.Context) ([]byte, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer deadlineOnDone(ctx, p.out)()
	for {
		if len(p.buf) >= 2 {
			end := 2 + int(binary.BigEndian.Uint16(p.buf))
			if len(p.buf) >= end {
				frame := append([]byte(nil), p.buf[2:end]...)
				p.buf = append(p.buf[:0], p.buf[end:]...)
				return frame, nil
			}
		}
		chunk := make([]byte, 16<<10)
		n, err := p.out.Read(chunk)
		p.buf = append(p.buf, chunk[:n]...)
		switch {
		case n > 0:
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, io.EOF) && len(p.buf) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// CloseInput closes the standard input of vde_plug, which then leaves the network and ends.
func (p *VdePlug) CloseInput() { p.in.Close() }
