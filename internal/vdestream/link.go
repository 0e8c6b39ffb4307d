// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdestream

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/jsonconf"
	"github.com/go-vde/sdk/link"
)

// Pipes are the two directions of a stream as one connection. Closer closes both
// and wakes what waits on them.
type Pipes struct {
	In  io.Reader
	Out io.Writer
	io.Closer
}

// Read reads from In.
func (p Pipes) Read(b []byte) (int, error) { return p.In.Read(b) }

// Write writes to Out.
func (p Pipes) Write(b []byte) (int, error) { return p.Out.Write(b) }

// An Explainer is a connection that knows more about its end than the error of a
// read or a write says.
type Explainer interface {
	// Explain returns the error to end the link with in place of err. The link
	// counts as ended by the other side if it matches [io.EOF].
	Explain(err error) error
}

// A Config describes a link made by [New]. The zero value has the defaults.
type Config struct {
	link.Config

	// WriteSize is the largest number of bytes that are written at once, but for a
	// longer frame (default 4096). A pipe takes up to 4096 bytes whole or not at
	// all, so a reader never finds a part of a frame in it; the cmd driver of
	// libvdeplug loses a frame that is not there whole when its length is. Readers
	// with a buffer of their own are faster with 65536.
	WriteSize int
}

// MarshalJSON writes the duration as text, as that of [link.Config].
func (cfg Config) MarshalJSON() ([]byte, error) {
	type base link.Config // without its methods, which would be those of the whole
	return json.Marshal(struct {
		base
		Linger    jsonconf.Duration
		WriteSize int
	}{base(cfg.Config), jsonconf.Duration(cfg.Linger), cfg.WriteSize})
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that b does not mention keep
// their value.
func (cfg *Config) UnmarshalJSON(b []byte) error {
	type base link.Config
	v := struct {
		*base
		Linger    *jsonconf.Duration
		WriteSize *int
	}{(*base)(&cfg.Config), (*jsonconf.Duration)(&cfg.Linger), &cfg.WriteSize}
	return json.Unmarshal(b, &v)
}

// CheckMaxFrameSize returns an error if the format cannot carry frames of n bytes.
func CheckMaxFrameSize(n int) error {
	if n > MaxLen {
		return fmt.Errorf("frames of up to %d bytes: a stream of vde_plug carries %d at most", n, MaxLen)
	}
	return nil
}

// New returns a link over c, which it owns from then on, also if it fails. Frames
// longer than MaxFrameSize of cfg are refused by Send with EMSGSIZE, which concerns
// no other frame. Frames of up to [DefaultLimit] bytes are accepted, or of up to
// MaxFrameSize if that is more.
//
// If c is an [Explainer], the link ends with the errors that it gives.
func New(c io.ReadWriteCloser, cfg Config) (link.Link, error) {
	cfg.MaxFrameSize = cmp.Or(cfg.MaxFrameSize, frame.DefaultMaxSize)
	if err := CheckMaxFrameSize(cfg.MaxFrameSize); err != nil {
		c.Close()
		return nil, err
	}
	fc := &frameConn{Closer: c, decoder: NewDecoder(c, max(DefaultLimit, cfg.MaxFrameSize)), encoder: NewEncoder(c, cmp.Or(cfg.WriteSize, DefaultWriteSize))}
	fc.explainer, _ = c.(Explainer)
	return &stream{link.New(fc, cfg.Config), cfg.MaxFrameSize}, nil
}

// A frameConn is a stream as a [link.FrameConn].
type frameConn struct {
	io.Closer
	decoder   *Decoder
	encoder   *Encoder
	explainer Explainer // may be nil
}

// ReadFrame implements [link.FrameConn].
func (c *frameConn) ReadFrame(buf []byte) (n int, err error) {
	if n, err = c.decoder.ReadFrame(buf); err != nil {
		err = c.explain(err)
	}
	return n, err
}

// WriteFrames implements [link.FrameConn].
func (c *frameConn) WriteFrames(frames [][]byte) (n int, err error) {
	if n, err = c.encoder.WriteFrames(frames); err != nil {
		err = c.explain(err)
	}
	return n, err
}

func (c *frameConn) explain(err error) error {
	if c.explainer == nil {
		return err
	}
	return c.explainer.Explain(err)
}

// A stream is a link that refuses frames which are too long.
type stream struct {
	link.Link
	longest int
}

// Send implements [link.Link].
func (s *stream) Send(t link.Tx) (n, calls int, err error) {
	good := 0
	for all := t.Len(); ; good++ {
		if good == all {
			return s.Link.Send(t)
		}
		if t.Size(good) > s.longest {
			break
		}
	}
	err = tooLong(t.Size(good), s.longest)
	if t.Pieces == nil {
		t.Frames = t.Frames[:good]
	} else {
		t.Pieces = t.Pieces[:good]
	}
	n, calls, e := s.Link.Send(t)
	if e == nil && good == 0 {
		e = s.Err()
	}
	if e != nil {
		err = e
	}
	return n, calls, err
}
