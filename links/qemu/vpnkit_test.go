// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/go-vde/sdk/link"
)

// A script is a connection whose other side says what is known beforehand.
type script struct {
	*bytes.Reader
	sent bytes.Buffer
}

func (s *script) Write(b []byte) (int, error) { return s.sent.Write(b) }

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// FuzzHandshake has both ends meet any bytes: what they make of them is what the
// offsets in the messages say, and not a byte more than the handshake is read.
func FuzzHandshake(f *testing.F) {
	const uuid = "01234567-89ab-cdef-0123-456789abcdef"
	for _, s := range []string{
		string(initMessage()) + string(command(uuid)) + "frames",
		string(initMessage()) + string(command(uuid[:35]+"x")),
		string(initMessage()) + "\x08" + strings.Repeat("\x00", 40),
		string(initMessage()) + string((&VPNKit{MTU: 1500}).response()) + "frames",
		string(initMessage()) + string(refusal("no")),
		string(initMessage()) + string(refusal(strings.Repeat("no ", 100))),
		string(initMessage())[:20],
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		greeted := len(b) >= 49 && string(b[:9]) == "VMN3T\x16\x00\x00\x00"

		c := &script{Reader: bytes.NewReader(b)}
		v := VPNKit{UUID: uuid}
		err := v.greet(c)
		want := greeted && len(b) >= 49+258 && b[49] == 1
		if (err == nil) != want {
			t.Fatalf("the client: %v, want success %v", err, want)
		}
		if want && (v.UUID != uuid || v.MTU != int(binary.LittleEndian.Uint16(b[50:])) || !bytes.Equal(v.MAC[:], b[54:60]) || c.Len() != len(b)-49-258) {
			t.Fatalf("the client: %+v, %d bytes are left", v, c.Len())
		}
		if len(b) < 49 && !errors.Is(err, link.ErrHangup) {
			t.Fatalf("the client, cut off: %v", err)
		}
		sent := append(initMessage(), command(uuid)...)
		if n := c.sent.Len(); !bytes.HasPrefix(sent, c.sent.Bytes()) || n != 49 && n != 90 || greeted != (n == 90) {
			t.Fatalf("the client sent %q", c.sent.Bytes())
		}

		c = &script{Reader: bytes.NewReader(b)}
		v = VPNKit{MTU: 1500}
		err = v.welcome(c)
		asked := greeted && len(b) >= 49+41
		want = asked && (b[49] == 1 || b[49] == 8) && (uuidForm.Match(b[50:86]) || bytes.Equal(b[50:86], make([]byte, 36)))
		if (err == nil) != want {
			t.Fatalf("the server: %v, want success %v", err, want)
		}
		if want && (!uuidForm.MatchString(v.UUID) || v.UUID != string(b[50:86]) && b[50] != 0 || v.MAC.IsGroup() || c.Len() != len(b)-49-41) {
			t.Fatalf("the server: %+v, %d bytes are left", v, c.Len())
		}
		if asked != (c.sent.Len() == 49+258) || asked && (c.sent.Bytes()[49] == 1) != want {
			t.Fatalf("the server sent %q", c.sent.Bytes())
		}
	})
}
