// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// A service answers the calls that one Access lets in.
type service struct {
	*Server
	readOnly bool
}

var _ pb.SwitchServiceHandler = (*service)(nil)

// Pages of lists.
const (
	defaultPorts, maxPorts     = 1000, 4096
	defaultEntries, maxEntries = 1000, 10000

	// maxPageParts bounds what the ports of a page consist of: endpoints, ranges of VLANs
	// and so on.
	maxPageParts = 32768
)

// pageSize returns the size of a page that was asked for.
func pageSize(asked uint32, usual, most int) int {
	if asked == 0 {
		return usual
	}
	return int(min(asked, uint32(most)))
}

func (s *service) GetSwitch(ctx context.Context, _ *pb.GetSwitchRequest) (*pb.GetSwitchResponse, error) {
	if err := s.busy.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.busy.release()
	c := s.sw.Config()
	m := &pb.Switch{
		Name: text(c.Name), Version: text(s.options.Version),
		Started: timestamppb.New(s.started), Uptime: durationpb.New(time.Since(s.started)),
		Hub: c.Hub, ReadOnly: s.readOnly, Config: encodeConfig(&c), LastEvent: s.history.last(),
	}
	for _, dir := range s.options.Dirs {
		m.Dirs = append(m.Dirs, text(dir))
	}
	for _, p := range s.sw.Ports() {
		m.FdbEntries += uint32(p.FDBEntries)
		m.Endpoints += uint32(len(p.Endpoints))
		if p.Active() {
			m.ActivePorts++
		}
	}
	return &pb.GetSwitchResponse{Switch: m}, nil
}

func (s *service) ListPorts(ctx context.Context, r *pb.ListPortsRequest) (*pb.ListPortsResponse, error) {
	first := 0
	if token := r.GetPageToken(); token != "" {
		var err error
		if first, err = strconv.Atoi(token); err != nil || first < 0 {
			return nil, invalid("page_token %q: give the next_page_token of the answer before", token)
		}
	}
	if err := s.busy.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.busy.release()
	list, configured := s.ports()
	size := pageSize(r.GetPageSize(), defaultPorts, maxPorts)
	answer, parts := &pb.ListPortsResponse{}, 0
	for _, p := range list {
		if p.Number < first || r.GetActive() && !p.Active() {
			continue
		}
		if len(answer.Ports) >= size || len(answer.Ports) > 0 && parts > maxPageParts {
			answer.NextPageToken = strconv.Itoa(p.Number)
			break
		}
		_, own := configured[p.Number]
		m := encodePort(p, own)
		parts += 1 + len(m.Endpoints) + len(m.Config.Tagged) + len(m.Config.Static)
		answer.Ports = append(answer.Ports, m)
	}
	if !r.GetNoStats() {
		s.addStats(answer.Ports)
	}
	return answer, nil
}

// ports returns the ports that the switch has a record of or a configuration for, by number,
// and the configurations.
func (s *service) ports() (list []vswitch.PortInfo, configured map[int]vswitch.PortConfig) {
	return s.sw.Ports(), s.sw.Config().Ports
}

// addStats adds the counters to ports, which are in the order of their numbers.
func (s *service) addStats(ports []*pb.Port) {
	stats := s.counters().Ports
	for _, m := range ports {
		i, ok := slices.BinarySearchFunc(stats, int(m.Number), func(p vswitch.PortStats, n int) int { return p.Port - n })
		if ok {
			m.Stats = encodePortStats(&stats[i])
		} else {
			m.Stats = encodePortStats(&vswitch.PortStats{Port: int(m.Number)})
		}
	}
}

func (s *service) GetPort(ctx context.Context, r *pb.GetPortRequest) (*pb.GetPortResponse, error) {
	n, err := portNumber("port", r.Port)
	if err != nil {
		return nil, err
	}
	if err := s.busy.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.busy.release()
	m, err := s.port(n)
	if err != nil {
		return nil, err
	}
	return &pb.GetPortResponse{Port: m}, nil
}

// port describes port n. The switch gets no record of it from that.
func (s *service) port(n int) (*pb.Port, error) {
	list, configured := s.ports()
	i, ok := slices.BinarySearchFunc(list, n, func(p vswitch.PortInfo, n int) int { return p.Number - n })
	var info vswitch.PortInfo
	if ok {
		info = list[i]
	} else {
		c := s.sw.Config()
		if n > c.NumPorts {
			return nil, connect.Errorf(connect.CodeNotFound, "port %d: there are ports 0 to %d", n, c.NumPorts)
		}
		info = vswitch.PortInfo{Number: n, Config: c.DefaultPort}
		for _, g := range c.PortGroups {
			if g.First <= n && n <= g.Last {
				info.Config = g.DefaultPort
			}
		}
	}
	_, own := configured[n]
	m := encodePort(info, own)
	s.addStats([]*pb.Port{m})
	return m, nil
}

// portNumber returns a number that has to be given.
func portNumber(field string, n *uint32) (int, error) {
	const highest = 1<<23 - 1
	switch {
	case n == nil:
		return 0, invalid("%s is missing: give the number of a port, 0 for the management port", field)
	case *n > highest:
		return 0, connect.Errorf(connect.CodeNotFound, "%s is %d: no switch has more than %d ports", field, *n, highest)
	}
	return int(*n), nil
}

func (s *service) ListFDB(ctx context.Context, r *pb.ListFDBRequest) (*pb.ListFDBResponse, error) {
	after, err := parseFDBToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	if err := s.busy.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.busy.release()
	prefix := strings.ToLower(r.GetMac())
	size := pageSize(r.GetPageSize(), defaultEntries, maxEntries)
	answer := &pb.ListFDBResponse{}
	for _, e := range s.sw.FDB() {
		switch {
		case r.Port != nil && uint32(e.Port) != r.GetPort():
			continue
		case r.Vlan != nil && uint32(e.VLAN) != r.GetVlan():
			continue
		case prefix != "" && !strings.HasPrefix(e.MAC.String(), prefix):
			continue
		}
		answer.Total++
		switch {
		case !after.before(e):
		case len(answer.Entries) < size:
			m := &pb.FDBEntry{Mac: e.MAC.String(), Vlan: uint32(e.VLAN), Port: uint32(e.Port), Static: e.Static}
			if !e.Static {
				m.Age = durationpb.New(e.Age)
			}
			answer.Entries = append(answer.Entries, m)
		case answer.NextPageToken == "":
			last := answer.Entries[size-1]
			answer.NextPageToken = strconv.FormatUint(uint64(last.Vlan), 10) + "/" + last.Mac
		}
	}
	return answer, nil
}

// An fdbToken is the last entry of a page, nil before the first page.
type fdbToken struct {
	vlan uint64
	mac  frame.MAC
}

func parseFDBToken(s string) (*fdbToken, error) {
	if s == "" {
		return nil, nil
	}
	vlan, mac, _ := strings.Cut(s, "/")
	v, err := strconv.ParseUint(vlan, 10, 16)
	m, macErr := frame.ParseMAC(mac)
	if err != nil || macErr != nil {
		return nil, invalid("page_token %q: give the next_page_token of the answer before", s)
	}
	return &fdbToken{v, m}, nil
}

// before reports whether e comes after t.
func (t *fdbToken) before(e vswitch.FDBEntry) bool {
	if t == nil {
		return true
	}
	v := uint64(e.VLAN)
	return v > t.vlan || v == t.vlan && e.MAC.Compare(t.mac) > 0
}

func (s *service) GetStats(ctx context.Context, r *pb.GetStatsRequest) (*pb.GetStatsResponse, error) {
	if r.LastPort != nil && r.GetLastPort() < r.GetFirstPort() {
		return nil, invalid("last_port is %d, which is before first_port, %d", r.GetLastPort(), r.GetFirstPort())
	}
	if err := s.busy.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.busy.release()
	stats, now := s.counters(), time.Now()
	m := encodeStats(&stats, now, func(p *vswitch.PortStats) bool {
		n := uint32(p.Port)
		return n >= r.GetFirstPort() && (r.LastPort == nil || n <= r.GetLastPort())
	})
	return &pb.GetStatsResponse{Stats: m}, nil
}

func (s *service) ListMirrors(context.Context, *pb.ListMirrorsRequest) (*pb.ListMirrorsResponse, error) {
	answer := &pb.ListMirrorsResponse{}
	for _, m := range s.sw.Mirrors() {
		answer.Mirrors = append(answer.Mirrors, &pb.MirrorSession{Src: uint32(m.Src), Dst: uint32(m.Dst)})
	}
	return answer, nil
}
