// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
)

func TestTags(t *testing.T) {
	type tag struct {
		tpid frame.EtherType
		id   uint16
	}
	const addresses = "020000000001020000000002"
	for hex, want := range map[string][]tag{
		"0800":                             nil,
		"81000005 0800":                    {{frame.EtherTypeVLAN, 5}},
		"88a8a064 81000005 0806":           {{frame.EtherTypeQinQ, 100}, {frame.EtherTypeVLAN, 5}},
		"91000064 81000005 81000000 86dd":  {{frame.EtherTypeQinQ9100, 100}, {frame.EtherTypeVLAN, 5}, {frame.EtherTypeVLAN, 0}},
		"92000064 81000005":                nil,
		"0800 81000005":                    nil,
		"8100efff 0003 424203":             {{frame.EtherTypeVLAN, 4095}},
		"91000001 91000002 91000003 88b5 ": {{frame.EtherTypeQinQ9100, 1}, {frame.EtherTypeQinQ9100, 2}, {frame.EtherTypeQinQ9100, 3}},
	} {
		f, err := frame.Parse(unhex(t, addresses+hex))
		if err != nil {
			t.Errorf("%s: %v", hex, err)
			continue
		}
		var got []tag
		for tpid, x := range f.Tags() {
			got = append(got, tag{tpid, x.ID()})
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", hex, got, want)
		}
		if n := frame.HeaderLen + len(want)*frame.TagLen; f.HeaderLen() != n {
			t.Errorf("%s: header of %d bytes, want %d", hex, f.HeaderLen(), n)
		}
		for range f.Tags() {
			break
		}
	}
	if _, err := frame.Parse(unhex(t, addresses+"910000058100")); err != frame.ErrShort {
		t.Errorf("a tag that is cut off: %v", err)
	}
	f := frame.Frame(unhex(t, addresses+"88a8006481000005"+"0800"))
	n := 0
	if allocs := testing.AllocsPerRun(100, func() {
		for range f.Tags() {
			n++
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
