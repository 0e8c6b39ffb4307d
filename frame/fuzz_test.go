// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/go-vde/sdk/frame"
)

// A decoded is what slowParse finds.
type decoded struct {
	dst, src []byte
	tags     []uint16
	typ      uint16
	payload  []byte
}

// slowParse is the oracle for Parse and the accessors: it shares no code with
// them and reads the frame as a stream, from the standard's text.
func slowParse(b []byte) (d decoded, err error) {
	r := bytes.NewReader(b)
	d.dst, d.src = make([]byte, 6), make([]byte, 6)
	if _, err = io.ReadFull(r, d.dst); err != nil {
		return d, err
	}
	if _, err = io.ReadFull(r, d.src); err != nil {
		return d, err
	}
	for {
		if err = binary.Read(r, binary.BigEndian, &d.typ); err != nil {
			return d, err
		}
		if d.typ != 0x8100 && d.typ != 0x88a8 && d.typ != 0x9100 {
			break
		}
		var tci uint16
		if err = binary.Read(r, binary.BigEndian, &tci); err != nil {
			return d, err
		}
		d.tags = append(d.tags, tci)
	}
	d.payload, err = io.ReadAll(r)
	return d, err
}

func FuzzParse(f *testing.F) {
	for _, c := range captures {
		b := unhex(f, c.hex)
		f.Add(b)
		f.Add(b[:len(b)*2/3])
	}
	f.Add(tagsOnly(64, false))
	f.Add(tagsOnly(64, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		got, err := frame.Parse(b)
		want, wantErr := slowParse(b)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Parse: %v; oracle: %v", err, wantErr)
		}
		if err != nil {
			if err != frame.ErrShort || got != nil {
				t.Fatalf("Parse = %v, %v; want nil, ErrShort", got, err)
			}
			return
		}
		dst, src := got.Dst(), got.Src()
		if !bytes.Equal(dst[:], want.dst) || !bytes.Equal(src[:], want.src) {
			t.Errorf("addresses %v, %v; want %x, %x", dst, src, want.dst, want.src)
		}
		if got.EtherType() != frame.EtherType(want.typ) {
			t.Errorf("EtherType = %v, want %#x", got.EtherType(), want.typ)
		}
		tag, ok := got.Tag()
		if ok != (len(want.tags) > 0) || ok && uint16(tag) != want.tags[0] {
			t.Errorf("Tag = %#x, %t; want the first of %#x", tag, ok, want.tags)
		}
		if n := 14 + 4*len(want.tags); got.HeaderLen() != n {
			t.Errorf("HeaderLen = %d, want %d", got.HeaderLen(), n)
		}
		if !bytes.Equal(got.Payload(), want.payload) {
			t.Errorf("Payload = %x, want %x", got.Payload(), want.payload)
		}
		if !bytes.Equal(b, before) {
			t.Error("reading changed the frame")
		}

		// Writing back what was read must give an untagged frame that reads the same.
		again := append(frame.AppendHeader(nil, dst, src, got.EtherType()), got.Payload()...)
		put := append(make([]byte, frame.HeaderLen), got.Payload()...)
		frame.PutHeader(put, dst, src, got.EtherType())
		if !bytes.Equal(again, put) {
			t.Errorf("AppendHeader %x, PutHeader %x", again, put)
		}
		if len(want.tags) == 0 && !bytes.Equal(again, b) {
			t.Errorf("rebuilt %x from %x", again, b)
		}
	})
}

// FuzzParseMAC compares with net.ParseMAC, which also takes longer addresses
// and, in newer releases of Go, bare hexadecimal digits.
func FuzzParseMAC(f *testing.F) {
	for _, c := range goodMACs {
		f.Add(c.in)
	}
	for _, s := range badMACs {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := frame.ParseMAC(s)
		want, wantErr := net.ParseMAC(s)
		bare := len(s) == 12
		if valid := wantErr == nil && len(want) == 6 && !bare; valid != (err == nil) {
			t.Fatalf("ParseMAC(%q): %v; package net: %v, %v", s, err, want, wantErr)
		}
		var text frame.MAC
		if textErr := text.UnmarshalText([]byte(s)); text != got || (textErr == nil) != (err == nil) {
			t.Fatalf("UnmarshalText(%q) = %v, %v; ParseMAC %v, %v", s, text, textErr, got, err)
		}
		if err != nil {
			if got != (frame.MAC{}) {
				t.Errorf("ParseMAC(%q) = %v with an error", s, got)
			}
			return
		}
		if !bytes.Equal(got[:], want) || got.String() != want.String() {
			t.Errorf("ParseMAC(%q) = %v, package net %v", s, got, want)
		}
		if back, err := frame.ParseMAC(got.String()); err != nil || back != got {
			t.Errorf("String %q parses to %v, %v", got, back, err)
		}
		if from, ok := frame.MACFrom(want); !ok || from != got {
			t.Errorf("MACFrom(%v) = %v, %t", want, from, ok)
		}
		if app := got.AppendTo([]byte("x")); string(app) != "x"+want.String() {
			t.Errorf("AppendTo gave %q", app)
		}
	})
}

// FuzzParseOffload reads what may precede a frame: it is taken apart and put
// together again without a change, and short input is refused.
func FuzzParseOffload(f *testing.F) {
	f.Add([]byte{1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(make([]byte, 70))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := frame.ParseVNetHeader(b)
		if len(b) < frame.VNetHeaderLen {
			if err == nil {
				t.Fatalf("%d bytes are taken for a header", len(b))
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again := bytes.Clone(b)
		o.Put(again)
		if !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x", b, again)
		}
		if got := uint16(b[4]) | uint16(b[5])<<8; o.GSOSize != got {
			t.Fatalf("GSOSize %d, want %d", o.GSOSize, got)
		}
	})
}
