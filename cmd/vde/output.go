// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"
)

// save writes what r gives to the file name, or to out if that is "-". A regular
// file appears, or is replaced, when it is complete. To anything else that exists,
// a device, a FIFO or a symbolic link, the bytes are written as they come.
func save(ctx context.Context, name string, out io.Writer, r io.Reader) (n int64, err error) {
	if name == "-" {
		return io.Copy(out, r)
	}
	mode := fs.FileMode(0)
	switch fi, err := os.Lstat(name); {
	case err == nil && fi.Mode().IsRegular():
		mode = fi.Mode().Perm()
	case err == nil:
		return saveThrough(ctx, name, r)
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	f, err := createPart(name)
	if err != nil {
		return 0, err
	}
	if mode != 0 {
		err = f.Chmod(mode)
	}
	if err == nil {
		n, err = io.Copy(f, r)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return n, err
}

// createPart creates a file beside name that did not exist.
func createPart(name string) (f *os.File, err error) {
	for range 100 {
		part := fmt.Sprintf("%s.%08x.part", name, rand.Uint32())
		if f, err = os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, err
}

// saveThrough writes what r gives to the file name as it is.
func saveThrough(ctx context.Context, name string, r io.Reader) (n int64, err error) {
	f, err := openOutput(ctx, name)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(f, r)
	return n, errors.Join(err, f.Close())
}

// lastWrite is how long a write may wait for a reader of the file once the command
// has been told to end.
const lastWrite = time.Second

// An output is a file to write. After the context that it was opened with has
// ended, a write waits no longer than lastWrite.
type output struct {
	*os.File
	ctx  context.Context
	stop func() bool
}

// openOutput opens the file name to write it from its beginning, and creates it if
// there is none. To open a FIFO waits for a reader, until ctx ends.
func openOutput(ctx context.Context, name string) (*output, error) {
	type opened struct {
		f   *os.File
		err error
	}
	result := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
		result <- opened{f, err}
	}()
	select {
	case o := <-result:
		if o.err != nil {
			return nil, o.err
		}
		out := &output{File: o.f, ctx: ctx}
		out.stop = context.AfterFunc(ctx, out.limit)
		return out, nil
	case <-ctx.Done():
		go func() {
			if o := <-result; o.err == nil {
				o.f.Close()
			}
		}()
		return nil, fmt.Errorf("open %s: %w", name, ctx.Err())
	}
}

// limit bounds how long a write may wait. Only a file that can make one wait has
// deadlines, so that the error does not count.
func (o *output) limit() { _ = o.SetWriteDeadline(time.Now().Add(lastWrite)) }

// Write implements [io.Writer].
func (o *output) Write(b []byte) (int, error) {
	if o.ctx.Err() != nil {
		o.limit()
	}
	n, err := o.File.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && o.ctx.Err() != nil {
		err = fmt.Errorf("write %s: %w", o.Name(), o.ctx.Err())
	}
	return n, err
}

// ReadFrom keeps the method of the file from being used instead of Write.
func (o *output) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{o}, r)
}

// Close closes the file.
func (o *output) Close() error {
	o.stop()
	return o.File.Close()
}
