// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"cmp"
	"slices"
)

// chunkPorts is how many port numbers share a chunk of a portSet: about as many as
// there are chunks in a switch of tens of thousands of ports.
const chunkPorts = 256

// A portSet is a set of ports, in the order of their numbers. It does not change: with
// and without return other sets, which share all chunks but one. So adding a port
// copies a chunk and the list of chunks, not all ports.
type portSet struct {
	chunks []portChunk // without empty ones
	len    int         // ports
}

// A portChunk holds the ports of chunkPorts numbers.
type portChunk struct {
	index int // of the numbers, divided by chunkPorts
	ports []*port
}

// all calls yield for each port.
func (s *portSet) all(yield func(*port) bool) {
	for i := range s.chunks {
		for _, p := range s.chunks[i].ports {
			if !yield(p) {
				return
			}
		}
	}
}

// chunk returns where the chunk of port n is, or would be, and whether it is there.
func (s *portSet) chunk(n int) (i int, ok bool) {
	return slices.BinarySearchFunc(s.chunks, n/chunkPorts, func(c portChunk, index int) int { return cmp.Compare(c.index, index) })
}

// find returns where port n is in c, or would be, and whether it is there.
func (c *portChunk) find(n int) (i int, ok bool) {
	return slices.BinarySearchFunc(c.ports, n, func(p *port, n int) int { return cmp.Compare(p.num, n) })
}

// with returns s with p, which is not in it.
func (s *portSet) with(p *port) *portSet {
	i, ok := s.chunk(p.num)
	chunks := slices.Clone(s.chunks)
	if !ok {
		return &portSet{slices.Insert(chunks, i, portChunk{p.num / chunkPorts, []*port{p}}), s.len + 1}
	}
	c := &chunks[i]
	j, _ := c.find(p.num)
	c.ports = slices.Insert(slices.Clone(c.ports), j, p)
	return &portSet{chunks, s.len + 1}
}

// without returns s without p, which is in it.
func (s *portSet) without(p *port) *portSet {
	i, _ := s.chunk(p.num)
	chunks := slices.Clone(s.chunks)
	c := &chunks[i]
	if len(c.ports) == 1 {
		return &portSet{slices.Delete(chunks, i, i+1), s.len - 1}
	}
	j, _ := c.find(p.num)
	c.ports = slices.Delete(slices.Clone(c.ports), j, j+1)
	return &portSet{chunks, s.len - 1}
}

// last returns the highest port number in s, or -1 if it is empty.
func (s *portSet) last() int {
	if s.len == 0 {
		return -1
	}
	ports := s.chunks[len(s.chunks)-1].ports
	return ports[len(ports)-1].num
}

// free returns the lowest number from first on that is not in s.
func (s *portSet) free(first int) int {
	n := first
	i, _ := s.chunk(n)
	for ; i < len(s.chunks) && s.chunks[i].index == n/chunkPorts; i++ {
		c := &s.chunks[i]
		if len(c.ports) == chunkPorts {
			n = (c.index + 1) * chunkPorts
			continue
		}
		j, _ := c.find(n)
		for ; j < len(c.ports) && c.ports[j].num == n; j++ {
			n++
		}
		if n/chunkPorts == c.index {
			break
		}
	}
	return n
}
