// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A client offers to send frames over the control stream by the name of the socket
// with which it connects, so the bytes of its request are those of any other client.
// A switch takes the offer in bytes of its reply behind the name of its data socket.
// See docs/streams.md.
//
//	the client's name                       the answer, from byte 102 of the reply on
//	  0   1  NUL: an abstract name            0   6  "VDEST!"
//	  1  11  "VDE-STREAM?"                    6   1  version
//	 12   2  version, hexadecimal             7   1  features taken
//	 14   2  features offered, hexadecimal
//	 16  16  any, hexadecimal
const (
	// StreamVersion is the version of the offer and of the records.
	StreamVersion = 1

	// StreamHeaders, a feature: each record has a virtio-net header, and both sides
	// take partial checksums and GSO frames.
	StreamHeaders = 1 << 0

	// MaxStreamPathLen is the length of the longest name of a data socket that
	// leaves room for an answer.
	MaxStreamPathLen = streamAnswerAt - 2 - 1

	streamFeatures = StreamHeaders

	streamName    = "@VDE-STREAM?"
	streamNameLen = len(streamName) + 2 + 2 + 16

	streamAnswer   = "VDEST!"
	streamAnswerAt = ReplyLen - len(streamAnswer) - 2
)

// StreamName returns the name of the socket of a client that offers features.
// unique makes it that of no other socket.
func StreamName(features uint8, unique uint64) string {
	return fmt.Sprintf("%s%02x%02x%016x", streamName, StreamVersion, features, unique)
}

// ParseStreamName returns the features that a client whose socket has this name
// offers, as far as they are known here. ok is false if it offers nothing that this
// side understands.
func ParseStreamName(name string) (features uint8, ok bool) {
	rest, ok := strings.CutPrefix(name, streamName)
	if !ok || len(name) != streamNameLen {
		return 0, false
	}
	version, e1 := strconv.ParseUint(rest[:2], 16, 8)
	offered, e2 := strconv.ParseUint(rest[2:4], 16, 8)
	_, e3 := strconv.ParseUint(rest[4:], 16, 64)
	if e1 != nil || e2 != nil || e3 != nil || version != StreamVersion {
		return 0, false
	}
	return uint8(offered) & streamFeatures, true
}

// PutStreamAnswer writes into a reply that the offer and features of it are taken.
// The name in the reply has at most MaxStreamPathLen bytes.
func PutStreamAnswer(reply []byte, features uint8) error {
	if len(reply) != ReplyLen || len(bytes.Trim(reply[streamAnswerAt-1:], "\x00")) > 0 {
		return fmt.Errorf("%w: no room for an answer behind the name", ErrTooLong)
	}
	copy(reply[streamAnswerAt:], streamAnswer)
	reply[ReplyLen-2], reply[ReplyLen-1] = StreamVersion, features
	return nil
}

// ParseStreamAnswer reports whether a reply has an answer to an offer of features,
// and which of them are taken. The error matches [ErrVersion] if the answer is to
// another offer.
func ParseStreamAnswer(reply []byte, offered uint8) (features uint8, ok bool, err error) {
	if len(reply) != ReplyLen || reply[streamAnswerAt-1] != 0 || string(reply[streamAnswerAt:ReplyLen-2]) != streamAnswer {
		return 0, false, nil
	}
	version, features := reply[ReplyLen-2], reply[ReplyLen-1]
	if version != StreamVersion || features&^offered != 0 {
		return 0, false, fmt.Errorf("%w: answer of version %d with features %#x to an offer of version %d with %#x", ErrVersion, version, features, StreamVersion, offered)
	}
	return features, true, nil
}
