// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/vswitch"
)

// FuzzRequest sends whatever a stranger may send to the reader of requests, in
// pieces of whatever size, and compares with the parser's opinion of what had
// come by each piece.
func FuzzRequest(f *testing.F) {
	add := func(b []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(0))
		f.Add(b, byte(1))
		f.Add(b, byte(61))
		f.Add(b[:len(b)-1], byte(0))
	}
	for _, r := range []wire.Request{
		{Path: "/tmp/sw/.00001-00000", Description: "probe user=x pid=1"},
		{Path: "/x", Port: 5},
		{Path: "/x", Port: wire.ManagementPort, Version: 1, Description: "old"},
		{Path: "@" + strings.Repeat("a", 107), Description: strings.Repeat("d", 134)},
	} {
		add(wire.AppendRequest(nil, r))
	}
	f.Add([]byte{}, byte(0))
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"), byte(0))
	f.Add(make([]byte, 300), byte(200))
	f.Fuzz(func(t *testing.T, data []byte, size byte) {
		piece := int(size)
		if piece == 0 {
			piece = max(len(data), 1)
		}
		got, err := readRequestInPieces(data, piece)
		want, wantErr := parseRequestInPieces(data, piece)
		if got != want || !errors.Is(err, wantErr) && errText(err) != errText(wantErr) {
			t.Errorf("got  %+v, %v\nwant %+v, %v", got, err, want, wantErr)
		}
		if err == nil && (len(got.Path) == 0 || len(got.Description) > 134) {
			t.Errorf("accepted %+v", got)
		}
	})
}

// readRequestInPieces returns what the switch makes of a client that sends data in
// pieces and closes the stream.
func readRequestInPieces(data []byte, piece int) (wire.Request, error) {
	client, server := net.Pipe()
	go func() {
		defer client.Close()
		for p := range slices.Chunk(data, piece) {
			if _, err := client.Write(p); err != nil {
				return // the reader has seen enough
			}
		}
	}()
	defer server.Close()
	return vswitch.ReadRequest(server)
}

// parseRequestInPieces parses the beginnings of data that end with a piece, until
// one is complete or wrong.
func parseRequestInPieces(data []byte, piece int) (wire.Request, error) {
	const most = wire.MaxRequestLen + 1
	for n := 0; n < len(data); {
		n += min(piece, len(data)-n)
		// A piece that reaches beyond the reader's buffer is seen in parts; the
		// first of them decides.
		if r, err := wire.ParseRequest(data[:min(n, most)]); err != wire.ErrIncomplete {
			return r, err
		}
	}
	return wire.Request{}, vswitch.ErrSilent
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
