// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

// An exchange tells from how much is sent and received whether the other side
// answers what this one sends, one short message at a time. Positions are those of
// the rings.
type exchange struct {
	sent     uint64 // up to here, at the last receive
	answered bool   // the last receive brought a short answer to something short
	streams  bool   // the last receive brought more than an exchange does
}

// maxExchange is how many bytes may be in both rings for an answer: a frame or two
// of 1500 bytes each way.
const maxExchange = 4096

// received notes that a receive brought got bytes when up to sent had been sent.
func (x *exchange) received(got, sent uint64) {
	x.answered = sent != x.sent && sent-x.sent+got <= maxExchange
	x.streams = got > maxExchange
	x.sent = sent
}
