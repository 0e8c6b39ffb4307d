// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A VPNKit is what the two ends of a hyperkit link have told each other in the
// handshake of VPNKit.
type VPNKit struct {
	UUID string    // of the virtual machine, which the client has chosen
	MAC  frame.MAC // of the virtual machine, which the server has chosen
	MTU  int       // of the server's network
}

// The messages of the handshake, in their order: both ends send an init message, the
// client first; then the client sends a command, and the server responds.
const (
	initLen     = 5 + 4 + 40  // magic, version, commit
	commandLen  = 1 + 36 + 4  // command, UUID, preferred address
	responseLen = 1 + 1 + 256 // response, and its parameters or a reason

	vpnkitVersion = 22

	commandEthernet  = 1
	commandPreferred = 8 // as commandEthernet, with an IPv4 address

	responseVIF        = 1
	responseDisconnect = 2

	uuidLen = 36
)

const vpnkitMagic = "VMN3T"

// initMessage returns the message with which each end begins. The commit is that of
// the sender's source, which nobody compares.
func initMessage() []byte {
	b := binary.LittleEndian.AppendUint32([]byte(vpnkitMagic), vpnkitVersion)
	return append(b, bytes.Repeat([]byte{'0'}, initLen-len(b))...)
}

// checkInit returns what is wrong with an init message.
func checkInit(b []byte) error {
	if !bytes.HasPrefix(b, []byte(vpnkitMagic)) {
		return fmt.Errorf("it begins with %q, not with %q: does the other side speak the handshake of VPNKit?", b[:len(vpnkitMagic)], vpnkitMagic)
	}
	if v := binary.LittleEndian.Uint32(b[len(vpnkitMagic):]); v != vpnkitVersion {
		return fmt.Errorf("the other side speaks version %d of the handshake of VPNKit, want %d", v, vpnkitVersion)
	}
	return nil
}

// command returns the message with which a client asks for an Ethernet connection.
func command(uuid string) []byte {
	b := append([]byte{commandEthernet}, uuid...)
	return append(b, make([]byte, commandLen-len(b))...)
}

// parseCommand returns the UUID in a command. A client that sends only zeros gets one.
func parseCommand(b []byte) (uuid string, err error) {
	if b[0] != commandEthernet && b[0] != commandPreferred {
		return "", fmt.Errorf("unknown command %d", b[0])
	}
	if text := b[1 : 1+uuidLen]; !bytes.Equal(text, make([]byte, uuidLen)) {
		uuid = string(text)
		return uuid, checkUUID(uuid)
	}
	return newUUID(), nil
}

// response returns the message with which a server gives what v says.
func (v *VPNKit) response() []byte {
	b := binary.LittleEndian.AppendUint16([]byte{responseVIF}, uint16(v.MTU))
	b = binary.LittleEndian.AppendUint16(b, uint16(v.MTU+frame.HeaderLen+frame.TagLen))
	b = append(b, v.MAC[:]...)
	return append(b, make([]byte, responseLen-len(b))...)
}

// refusal returns the message with which a server says that the client gets nothing.
func refusal(reason string) []byte {
	reason = reason[:min(len(reason), 255)]
	b := append([]byte{responseDisconnect, byte(len(reason))}, reason...)
	return append(b, make([]byte, responseLen-len(b))...)
}

// parseResponse notes in v what a response says.
func (v *VPNKit) parseResponse(b []byte) error {
	switch b[0] {
	case responseVIF:
		v.MTU = int(binary.LittleEndian.Uint16(b[1:]))
		v.MAC = frame.MAC(b[5:])
		return nil
	case responseDisconnect:
		return fmt.Errorf("the server refuses: %q", b[2:2+int(b[1])])
	}
	return fmt.Errorf("unknown response %d", b[0])
}

// greet is the handshake of a client.
func (v *VPNKit) greet(c io.ReadWriter) error {
	b := make([]byte, responseLen)
	if err := exchange(c, initMessage(), b[:initLen]); err != nil {
		return err
	}
	if err := checkInit(b[:initLen]); err != nil {
		return err
	}
	if err := exchange(c, command(v.UUID), b); err != nil {
		return err
	}
	return v.parseResponse(b)
}

// welcome is the handshake of a server.
func (v *VPNKit) welcome(c io.ReadWriter) error {
	b := make([]byte, initLen)
	if err := exchange(c, nil, b); err != nil {
		return err
	}
	wrong := checkInit(b)
	if !bytes.HasPrefix(b, []byte(vpnkitMagic)) {
		return wrong
	}
	if wrong != nil { // the client learns of our version
		_, _ = c.Write(initMessage())
		return wrong
	}
	b = b[:commandLen]
	if err := exchange(c, initMessage(), b); err != nil {
		return err
	}
	uuid, err := parseCommand(b)
	if err != nil {
		_, _ = c.Write(refusal(err.Error()))
		return err
	}
	// A machine has the same address each time.
	sum := sha256.Sum256([]byte(uuid))
	v.UUID, v.MAC = uuid, frame.MAC(sum[:])
	v.MAC[0] = v.MAC[0]&^1 | 2 // of one station, and assigned locally
	_, err = c.Write(v.response())
	return err
}

// exchange sends one message and fills b with the next one of the other side. No more
// than that is read, because frames may follow.
func exchange(c io.ReadWriter, send, b []byte) error {
	if len(send) > 0 {
		if _, err := c.Write(send); err != nil {
			return err
		}
	}
	_, err := io.ReadFull(c, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = link.ErrHangup
	}
	return err
}

// newUUID returns a random UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])     // does not fail
	b[6] = b[6]&0x0f | 4<<4    // version 4: random
	b[8] = b[8]&0x3f | 0b10<<6 // the variant of RFC 9562
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// checkUUID returns an error unless s is a UUID as text. The error matches
// syscall.EINVAL.
func checkUUID(s string) error {
	wrong := len(s) != uuidLen
	for i := 0; i < len(s) && !wrong; i++ {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			wrong = c != '-'
		default:
			wrong = !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F')
		}
	}
	if wrong {
		return vnl.Errorf("%q is not a UUID, such as 01234567-89ab-cdef-0123-456789abcdef", s)
	}
	return nil
}
