// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// roundSize returns the power of two that is n or follows it.
func roundSize(n int) int { return 1 << bits.Len(uint(n-1)) }

func (x *executor) hashInfo(string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.state.hash
	x.printf("Hash size %d\nGC interval %d secs\nGC expire %d secs\nMin persistence %d secs\n", h.size, h.gc, s.expireSeconds(), h.min)
	return OK
}

// expireSeconds returns the ageing time as hash/showinfo shows it; s.mu is held.
func (s *Server) expireSeconds() int {
	now := s.sw.Config().AgeingTime
	switch e := s.state.expire; {
	case e.as != 0 && e.as == now:
		return e.seconds
	case now < 0 || now/time.Second > math.MaxInt32:
		return math.MaxInt32
	}
	return int((now + time.Second - 1) / time.Second)
}

func (x *executor) hashSetSize(arg string) Status {
	n := decimal(arg)
	if n < 1 {
		return BadValue
	}
	s := x.srv
	s.mu.Lock()
	s.state.hash.size = roundSize(n)
	s.mu.Unlock()
	s.sw.FlushFDB()
	return OK
}

func (x *executor) hashSetInterval(arg string) Status {
	x.srv.mu.Lock()
	defer x.srv.mu.Unlock()
	x.srv.state.hash.gc = decimal(arg)
	return OK
}

func (x *executor) hashSetPersistence(arg string) Status {
	x.srv.mu.Lock()
	defer x.srv.mu.Unlock()
	x.srv.state.hash.min = decimal(arg)
	return OK
}

// hashSetExpire sets the ageing time, which is no less than a second.
func (x *executor) hashSetExpire(arg string) Status {
	n := decimal(arg)
	d := max(time.Duration(n), 1) * time.Second
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sw.SetAgeingTime(d) != nil {
		return BadValue
	}
	s.state.expire = expiry{n, d}
	return OK
}

// A bucketEntry is an entry of the FDB and where it is printed.
type bucketEntry struct {
	vswitch.FDBEntry
	bucket int
}

func (e bucketEntry) compare(o bucketEntry) int {
	return cmp.Or(cmp.Compare(e.bucket, o.bucket), e.MAC.Compare(o.MAC), cmp.Compare(e.VLAN, o.VLAN))
}

// bucket returns a number below size, a power of two, for an address. That of vde_switch
// is another one.
func bucket(mac frame.MAC, vlan uint16, size int) int {
	h := uint32(vlan)*0x9e3779b1 + 0x811c9dc5
	for _, b := range mac {
		h = (h ^ uint32(b)) * 0x01000193
	}
	return int(h>>15^h) & (size - 1)
}

func (x *executor) printEntry(e bucketEntry) {
	x.printf("Hash: %04d Addr: %v VLAN %04d to port: %03d  age %d secs\n", e.bucket, e.MAC, e.VLAN, e.Port, int(e.Age/time.Second))
}

func (x *executor) hashSize() int {
	x.srv.mu.Lock()
	defer x.srv.mu.Unlock()
	return x.srv.state.hash.size
}

func (x *executor) hashPrint(string) Status {
	size := x.hashSize()
	last := bucketEntry{bucket: -1}
	for more := true; more && x.err == nil; {
		more = false
		for _, e := range x.srv.fdb(size) {
			if e.compare(last) <= 0 {
				continue
			}
			if more = x.full(); more {
				break
			}
			x.printEntry(e)
			last = e
		}
		if more {
			x.flush()
		}
	}
	return OK
}

// fdb returns the FDB in the order of buckets.
func (s *Server) fdb(size int) []bucketEntry {
	s.mu.Lock() // one session at a time has a copy
	defer s.mu.Unlock()
	entries := s.sw.FDB()
	list := make([]bucketEntry, len(entries))
	for i, e := range entries {
		list[i] = bucketEntry{e, bucket(e.MAC, e.VLAN, size)}
	}
	slices.SortFunc(list, bucketEntry.compare)
	return list
}

func (x *executor) hashFind(arg string) Status {
	mac, vlan, ok := scanMAC(arg)
	if !ok {
		return BadValue
	}
	size := x.hashSize()
	for _, e := range x.srv.fdb(size) {
		if e.MAC == mac && int(e.VLAN) == vlan {
			x.printEntry(e)
			return OK
		}
	}
	return NoDevice
}
