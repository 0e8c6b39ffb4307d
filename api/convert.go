// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// EncodePortConfig returns the message for the configuration of a port.
func EncodePortConfig(c vswitch.PortConfig) *pb.PortConfig {
	m := &pb.PortConfig{
		Vlan: uint32(c.VLAN), Tagged: encodeVLANs(c.Tagged),
		Policy: c.Policy.String(), Wait: durationpb.New(c.Wait), Queue: uint32(c.Queue),
		Isolated: c.Isolated, Reserved: c.Reserved, RoundRobin: c.RoundRobin, LoopProtection: c.LoopProtection.String(),
		StormLimit: uint32(c.StormLimit), MacLimit: int32(c.MACLimit), Impair: encodeImpair(c.Impair),
	}
	for _, s := range c.Static {
		m.Static = append(m.Static, &pb.StaticEntry{Mac: s.MAC.String(), Vlan: uint32(s.VLAN)})
	}
	return m
}

// DecodePortConfig returns the configuration that a message holds. What is nil or empty
// has the default.
func DecodePortConfig(m *pb.PortConfig) (vswitch.PortConfig, error) {
	var c vswitch.PortConfig
	if m == nil {
		return c, nil
	}
	if m.GetVlan() > vswitch.NoVLAN {
		return c, fmt.Errorf("vlan is %d, want 0 to 4094, or %d for none", m.GetVlan(), vswitch.NoVLAN)
	}
	c.VLAN = uint16(m.GetVlan())
	var err error
	if c.Tagged, err = decodeVLANs(m.GetTagged()); err != nil {
		return c, fmt.Errorf("tagged: %w", err)
	}
	if m.GetPolicy() != "" {
		if err := c.Policy.UnmarshalText([]byte(m.GetPolicy())); err != nil {
			return c, fmt.Errorf("policy: %w", err)
		}
	}
	if m.GetLoopProtection() != "" {
		if err := c.LoopProtection.UnmarshalText([]byte(m.GetLoopProtection())); err != nil {
			return c, fmt.Errorf("loop_protection: %w", err)
		}
	}
	if c.Wait, err = decodeDuration(m.GetWait()); err != nil {
		return c, fmt.Errorf("wait: %w", err)
	}
	if m.GetQueue() > math.MaxInt32 || m.GetStormLimit() > math.MaxInt32 {
		return c, fmt.Errorf("queue is %d and storm_limit %d, want at most %d", m.GetQueue(), m.GetStormLimit(), math.MaxInt32)
	}
	c.Queue, c.StormLimit, c.MACLimit = int(m.GetQueue()), int(m.GetStormLimit()), int(m.GetMacLimit())
	c.Isolated, c.Reserved, c.RoundRobin = m.GetIsolated(), m.GetReserved(), m.GetRoundRobin()
	if c.Impair, err = decodeImpair(m.GetImpair()); err != nil {
		return c, fmt.Errorf("impair: %w", err)
	}
	c.Static, err = decodeStatic(m.GetStatic())
	return c, err
}

func decodeStatic(list []*pb.StaticEntry) (entries []vswitch.StaticEntry, _ error) {
	for _, s := range list {
		mac, err := frame.ParseMAC(s.GetMac())
		if err != nil {
			return nil, fmt.Errorf("static: %w", err)
		}
		if s.GetVlan() > math.MaxUint16 {
			return nil, fmt.Errorf("static: VLAN %d, want 0 to 4094", s.GetVlan())
		}
		entries = append(entries, vswitch.StaticEntry{MAC: mac, VLAN: uint16(s.GetVlan())})
	}
	return entries, nil
}

// encodeVLANs returns the ranges that list consists of; neighbours in order are joined.
func encodeVLANs(list []uint16) (ranges []*pb.VLANRange) {
	for _, v := range list {
		if n := len(ranges); n > 0 && ranges[n-1].Last+1 == uint32(v) {
			ranges[n-1].Last++
			continue
		}
		ranges = append(ranges, &pb.VLANRange{First: uint32(v), Last: uint32(v)})
	}
	return ranges
}

// decodeVLANs returns the VLANs of ranges in order, each once, however often it is in them.
func decodeVLANs(ranges []*pb.VLANRange) (list []uint16, _ error) {
	const last = 4094
	// A request may have tens of thousands of ranges, so none may take longer than another.
	var begins, ends [last + 1]int // how many ranges have their first or last VLAN there
	for _, r := range ranges {
		if r.GetFirst() > last || r.GetLast() > last {
			return nil, fmt.Errorf("VLANs %d to %d, want 0 to %d", r.GetFirst(), r.GetLast(), last)
		}
		begins[r.GetFirst()]++
		ends[max(r.GetFirst(), r.GetLast())]++
	}
	in := 0
	for v := range begins {
		if in += begins[v]; in > 0 {
			list = append(list, uint16(v))
		}
		in -= ends[v]
	}
	return list, nil
}

// decodeDuration returns the duration of d, 0 if it is nil, and [vswitch.Forever] if it is
// negative.
func decodeDuration(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, err
	}
	if v := d.AsDuration(); v >= 0 {
		return v, nil
	}
	return vswitch.Forever, nil
}

// etag names a configuration.
func etag(m *pb.PortConfig) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "" // it has text that is not UTF-8, which nothing that EncodePortConfig sets has
	}
	h := fnv.New64a()
	h.Write(b)
	return strconv.FormatUint(h.Sum64(), 16)
}

func encodeConfig(c *vswitch.Config) *pb.SwitchConfig {
	m := &pb.SwitchConfig{
		Name: text(c.Name), NumPorts: uint32(c.NumPorts), Hub: c.Hub, KeepTags: c.KeepTags,
		MaxFrameSize: uint32(c.MaxFrameSize), AgeingTime: durationpb.New(c.AgeingTime), MaxFdbEntries: uint32(c.MaxFDBEntries),
		DefaultPort: EncodePortConfig(c.DefaultPort), SharedMemory: c.SharedMemory.String(),
		NoStreams: c.NoStreams, NoPolling: c.NoPolling, MaxSharedMemory: uint64(c.MaxSharedMemory),
		LoopInterval: durationpb.New(c.LoopInterval), Mode: octal(c.Mode), DirMode: octal(c.DirMode), Group: text(c.Group),
		WriteBuffer: uint32(c.WriteBuffer), MaxPending: uint32(c.MaxPending), HandshakeTimeout: durationpb.New(c.HandshakeTimeout),
	}
	for name, g := range c.PortGroups {
		if m.PortGroups == nil {
			m.PortGroups = make(map[string]*pb.PortGroup)
		}
		m.PortGroups[text(name)] = &pb.PortGroup{First: uint32(g.First), Last: uint32(g.Last), DefaultPort: EncodePortConfig(g.DefaultPort)}
	}
	return m
}

// octal returns permissions as chmod takes them, or nothing for 0.
func octal(mode fs.FileMode) string {
	n := uint64(mode.Perm())
	if mode&fs.ModeSetgid != 0 {
		n |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		n |= 0o1000
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%04o", n)
}

// encodePort returns the message for a port, without its counters.
func encodePort(p vswitch.PortInfo, configured bool) *pb.Port {
	config := EncodePortConfig(p.Config)
	m := &pb.Port{
		Number: uint32(p.Number), Config: config, Etag: etag(config), FdbEntries: uint32(p.FDBEntries), Configured: configured,
		Loop: &pb.Loop{Probed: p.Loop.Probed, Blocked: p.Loop.Blocked, Since: timestamp(p.Loop.Since), From: uint32(max(0, p.Loop.From)), Blocks: p.Loop.Blocks},
	}
	for _, e := range p.Endpoints {
		m.Endpoints = append(m.Endpoints, &pb.Endpoint{
			Id: e.ID, Kind: text(string(e.Kind)), Description: text(e.Description), Uid: e.UID, Gid: e.GID, Pid: e.PID,
			Dir: text(e.Dir), Since: timestamp(e.Since), Queued: uint32(e.Queued), Offload: encodeOffload(e),
			Uplink: e.Uplink, Down: e.Down,
		})
	}
	return m
}

func encodeOffload(e vswitch.Endpoint) string {
	if e.Offload == 0 {
		return ""
	}
	return e.Offload.String()
}

func encodeEvent(e vswitch.Event) *pb.Event {
	m := &pb.Event{
		Seq: e.Seq, Time: timestamp(e.Time), Kind: e.Kind.String(),
		Endpoint: e.Endpoint, EndpointKind: text(string(e.EndpointKind)), Description: text(e.Description),
		Vlan: uint32(e.VLAN), Cause: text(e.Cause), Count: e.Count,
	}
	if e.Port != vswitch.AllPorts {
		m.Port = proto.Uint32(uint32(e.Port))
	}
	switch e.Kind {
	case vswitch.EventMoved:
		m.OtherPort = proto.Uint32(uint32(e.OtherPort))
		m.Mac = e.MAC.String()
	case vswitch.EventBlocked, vswitch.EventMirrored, vswitch.EventUnmirrored:
		m.OtherPort = proto.Uint32(uint32(e.OtherPort))
	case vswitch.EventLearned, vswitch.EventAged, vswitch.EventForgotten:
		m.Mac = e.MAC.String()
	}
	return m
}

// timestamp returns nil for the zero time.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
