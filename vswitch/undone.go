// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/pool"
)

// A frame with an offload header may be undone: its checksum is missing, or it is
// a TCP segment that is to be cut into several. It stays so where everybody who
// gets it has agreed to that, and is made ordinary for all otherwise.

// undone reports whether o says that something was left to do.
func undone(o frame.VNetHeader) bool {
	return o.Flags&frame.VNetNeedsChecksum != 0 || o.GSOType != frame.GSONone
}

// tidy returns o, which was checked, with all that means nothing made zero: it
// goes to others.
func tidy(o frame.VNetHeader) frame.VNetHeader {
	if o.GSOType == frame.GSONone {
		o.HdrLen, o.GSOSize = 0, 0
	}
	if o.Flags&frame.VNetNeedsChecksum == 0 {
		o.CsumStart, o.CsumOffset = 0, 0
	}
	return o
}

// moved returns o for the frame with n bytes more in front of its IP header.
func moved(o frame.VNetHeader, n int) frame.VNetHeader {
	if o.GSOType != frame.GSONone {
		o.HdrLen = uint16(int(o.HdrLen) + n)
	}
	if o.Flags&frame.VNetNeedsChecksum != 0 {
		o.CsumStart = uint16(int(o.CsumStart) + n)
	}
	return o
}

// addHeaded appends a frame behind its offload header, whose bytes are lent.
func (b *batch) addHeaded(data []byte) {
	b.n++
	b.items[b.n-1].setHeaded(data, len(data))
}

// setHeaded makes it the frame behind the offload header that data begins with;
// size is data's own length, more than len(data) if its end was cut. Less than a
// header is left to be a frame without one, a runt or empty.
func (it *item) setHeaded(data []byte, size int) {
	it.data, it.size = data, size
	if o, err := frame.ParseVNetHeader(data); err == nil {
		it.off, it.data, it.size = o, data[frame.VNetHeaderLen:], size-frame.VNetHeaderLen
	}
}

// checkOffload is the part of checkSize for a frame with something in its
// offload header: it returns why it is dropped, if it is.
func (b *batch) checkOffload(it *item) (cause dropCause, ok bool) {
	switch {
	case it.size > len(it.data) || it.size > frame.MaxGSO,
		it.off.GSOType == frame.GSONone && it.size > b.sw.cfg.MaxFrame:
		return inGiant, false
	case gso.Check(it.off, it.data) != nil:
		return inOffload, false
	case gso.Longest(it.off, it.size) > b.sw.cfg.MaxFrame:
		return inGiant, false
	}
	it.off = tidy(it.off)
	b.undone = b.undone || undone(it.off)
	return 0, true
}

// settle decides about the items that are undone: they stay so if all whom they
// are for take them. Otherwise checksums are completed here, and those to be cut
// are marked; it reports whether there are any. What the items were classified
// by, and who is there, may change afterwards; see due.
func (b *batch) settle() (split bool) {
	whole := takeUndone(b.mirrors)
	b.undone = false
	for i := range b.items[:b.n] {
		it := &b.items[i]
		switch {
		case !undone(it.off) || !b.isWhole(it):
		case whole && b.wanted(it):
			b.undone = true
		case it.off.GSOType == frame.GSONone:
			b.finish(it)
		default:
			it.part = partWhole
			split = true
			if it.way != wayDrop && it.to == nil && b.in.conf.Load().StormLimit > 0 {
				b.in.storm.charge(gso.Count(it.off, it.data) - 1)
			}
		}
	}
	return split
}

// wanted reports whether all ports that it is for take it undone.
func (b *batch) wanted(it *item) bool {
	switch it.way {
	case wayPort:
		return it.to.takesUndone(it)
	case wayFlood, wayHub:
		for _, p := range *b.sw.active.Load() {
			if !b.skips(p, it.way) && (it.way == wayHub || p.conf.Load().member(it.vlan)) && !p.takesUndone(it) {
				return false
			}
		}
	}
	return true
}

// takesUndone reports whether all cables and mirrors of p take it undone.
func (p *port) takesUndone(it *item) bool {
	for _, c := range *p.cables.Load() {
		if !c.out.offload() {
			return false
		}
	}
	if len(it.data) > frame.MaxGSO-frame.TagLen && !it.tagged && p.conf.Load().VLAN != it.vlan {
		return false // with the tag that it needs there, it would be too long
	}
	return takeUndone(*p.mirrors.Load())
}

// takeUndone reports whether all mirrors take undone frames.
func takeUndone(mirrors []*mirror) bool {
	for _, m := range mirrors {
		if m.tap != nil {
			if !m.tap.out.offload() {
				return false
			}
			continue
		}
		for _, c := range *m.to.cables.Load() {
			if !c.out.offload() {
				return false
			}
		}
	}
	return true
}

// finish completes the checksum of it, in a copy if its bytes are lent.
func (b *batch) finish(it *item) {
	if it.buf == nil && it.home == nil {
		it.buf = b.sw.poolFor(len(it.data)).Get()
		it.buf.SetLen(copy(it.buf.Bytes(), it.data))
		it.data = it.buf.Bytes()
	}
	gso.Finish(it.off, it.data)
	it.off = frame.VNetHeader{}
}

// due returns those of items that c is to get. That is all of them, unless some
// are undone and c does not take them: then it was plugged in, or made a mirror's,
// after settle, and it is as if they had passed before that. The result is valid
// until the next call.
func (b *batch) due(c *cable, items []uint8) []uint8 {
	if !b.undone || c.out.offload() {
		return items
	}
	list := b.dues[:0]
	for _, i := range items {
		if !undone(b.items[i].off) {
			list = append(list, i)
		}
	}
	return list
}

// header returns the offload header of item i in the form wanted; see inAlt.
func (b *batch) header(i uint8, as *portConf) frame.VNetHeader {
	it := &b.items[i]
	switch {
	case !it.inAlt(as):
		return it.off
	case it.tagged:
		return moved(it.off, -frame.TagLen)
	}
	return moved(it.off, frame.TagLen)
}

// A heads is scratch memory for frames behind their offload headers.
type heads struct {
	used bool                      // something is in bufs
	bufs [maxBatch][2]*pool.Buffer // by item: as it came, and its other form

	headers [maxBatch][frame.VNetHeaderLen]byte
	pieces  [maxBatch][2][]byte
	msgs    [maxBatch]net.Buffers
}

// head returns the scratch memory, which batches that never need it do not have.
func (b *batch) head() *heads {
	if b.heads == nil {
		b.heads = new(heads)
	}
	return b.heads
}

// keepHeaded is keep for refHeaded.
func (b *batch) keepHeaded(items []uint8, as *portConf, give bool) {
	if give {
		b.keep(items, as)
		return
	}
	for _, i := range items {
		b.headed(i, as)
	}
}

// refHeaded is ref for the frame behind its offload header. A buffer that is
// given away has nobody else who looks at it, so the header goes in front of the
// frame; otherwise it is in a copy, of which there is one for all.
func (b *batch) refHeaded(i uint8, as *portConf, give bool) *pool.Buffer {
	if !give {
		return b.headed(i, as).Retain()
	}
	o := b.header(i, as)
	buf := b.ref(i, as, true)
	o.Put(buf.Prepend(frame.VNetHeaderLen))
	return buf
}

// headed returns a copy of item i in the form wanted, behind its offload header.
// The batch has the reference.
func (b *batch) headed(i uint8, as *portConf) *pool.Buffer {
	h, form := b.head(), 0
	if b.items[i].inAlt(as) {
		form = 1
	}
	buf := &h.bufs[i][form]
	if *buf == nil {
		h.used = true
		*buf = b.sw.headed(b.header(i, as), b.form(i, as))
	}
	return *buf
}

// headed returns a copy of data behind o, in a new buffer.
func (sw *Switch) headed(o frame.VNetHeader, data []byte) *pool.Buffer {
	buf := sw.poolFor(len(data)).Get()
	buf.SetLen(copy(buf.Bytes(), data))
	o.Put(buf.Prepend(frame.VNetHeaderLen))
	return buf
}

// behead releases what headed made; the items are about to change their places.
func (b *batch) behead() {
	if b.heads == nil || !b.heads.used {
		return
	}
	b.heads.used = false
	for i := range b.heads.bufs[:b.n] {
		pool.ReleaseBatch(b.heads.bufs[i][:])
	}
}

// gathered returns items in the form wanted, each as its offload header and its
// bytes, which are lent until ungather is called.
func (b *batch) gathered(items []uint8, as *portConf) []net.Buffers {
	h := b.head()
	for k, i := range items {
		b.header(i, as).Put(h.headers[k][:])
		h.pieces[k] = [2][]byte{h.headers[k][:], b.form(i, as)}
		h.msgs[k] = h.pieces[k][:]
	}
	return h.msgs[:len(items)]
}

// ungather forgets what gathered returned.
func (b *batch) ungather(msgs []net.Buffers) {
	clear(b.heads.pieces[:len(msgs)])
	clear(msgs)
}
