// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"bufio"
	"context"
	"io"
	"os"
)

const (
	// scriptLine is how much of a line of a script is one command, as in vde_switch.
	scriptLine = 127

	// maxDepth is how many scripts may be loaded by one another.
	maxDepth = 16
)

// load runs the commands of the file path. Each has a line before its answer that repeats
// it. What is no file, such as a directory, has no commands.
func (x *executor) load(path string) Status {
	if x.depth == maxDepth {
		return TooDeep
	}
	f, err := openScript(path)
	if err != nil {
		return NoEntry
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return OK // to read a FIFO or a device could wait, and have no end
	}
	// A read that waits, as of some files below /proc, ends with the session.
	defer context.AfterFunc(x.sess.ctx, func() { f.Close() })()
	x.depth++
	defer func() { x.depth-- }()
	r := bufio.NewReaderSize(f, 4096)
	for x.err == nil && x.sess.ctx.Err() == nil {
		line, ok := nextScriptLine(r)
		if !ok {
			break
		}
		x.printf("vde[%s]: %s\n", path, line)
		if line == "\n" {
			x.status(NoCommand) // as vde_switch
		} else {
			x.command(line)
		}
		if x.full() {
			x.flush()
		}
	}
	return OK
}

// openScript opens path so that it does not wait for another process.
func openScript(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
}

// nextScriptLine returns the next line without its end, if it has anything else, or the
// next scriptLine bytes of it.
func nextScriptLine(r *bufio.Reader) (line string, ok bool) {
	var b []byte
	for len(b) < scriptLine {
		c, err := r.ReadByte()
		if err != nil {
			if err != io.EOF {
				return "", false
			}
			return string(b), len(b) > 0
		}
		if c == '\n' && len(b) > 0 {
			return string(b), true
		}
		b = append(b, c)
		if c == '\n' {
			break
		}
	}
	return string(b), true
}
