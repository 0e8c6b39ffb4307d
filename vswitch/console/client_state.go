// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// A Port is a port as a console shows it.
type Port struct {
	Number      int
	VLAN        uint16 // the untagged one; [vswitch.NoVLAN] for none
	Active      bool
	Allocatable bool   // may be given to a client that asks for any port
	User        string // of the endpoints; NONE without
	AllowUser   string // NONE for no restriction
	AllowGroup  string
	Counters    bool // whether the switch counts
	In, Out     Counters
	Endpoints   []Endpoint // the newest first
}

// Counters count frames from the endpoints of a port (In), or to them (Out).
type Counters struct{ Frames, Bytes uint64 }

// An Endpoint is what is attached to a port. Its description is whatever the peer says.
type Endpoint struct {
	ID          uint64
	Module      string // such as "unix prog" or "tuntap"
	Description string
}

// A VLAN is a VLAN as a console shows it.
type VLAN struct {
	ID    uint16
	Ports []VLANPort
}

// A VLANPort is a port in a VLAN.
type VLANPort struct {
	Number         int
	Tagged, Active bool
	Status         string // Discarding, Learning or Forwarding
}

// Info is what a console says of the switch.
type Info struct {
	Version string
	PID     int
	MAC     frame.MAC
	Uptime  time.Duration
	Ports   int // as the switch counts: vde_switch 2.3.2 counts port 0, later ones do not
	Hub     bool
	FSTP    bool
	Dir     string // control directory
}

var (
	portLine     = regexp.MustCompile(`^Port (\d+) untagged_vlan=(\d+) (IN)?ACTIVE - (NOT )?Unnamed Allocatable$`)
	userLine     = regexp.MustCompile(`^ Current User: (\S+) Access Control: \(User: (\S+) - Group: (\S+)\)$`)
	counterLine  = regexp.MustCompile(`^ (IN|OUT): +pkts +(\d+) +bytes +(\d+)$`)
	endpointLine = regexp.MustCompile(`^  -- endpoint ID (\d+) module (.{12,}?): (.*)$`)
	vlanLine     = regexp.MustCompile(`^VLAN (\d+)$`)
	vlanPortLine = regexp.MustCompile(`^ -- Port (\d+) tagged=([01]) active=([01]) status=(\S+)$`)
	hashLine     = regexp.MustCompile(`^Hash: \d+ Addr: (\S+) VLAN (\d+) to port: (\d+) +age (-?\d+) secs$`)
	processLine  = regexp.MustCompile(`^pid (\d+) MAC (\S+) uptime (\d+)$`)
)

// Ports returns the ports that have an endpoint, or with inactive all that exist.
//
// A peer of a vde_switch can forge lines of the list by its description. What follows a
// line that the switch cannot have written is an error.
func (c *Client) Ports(ctx context.Context, inactive bool) ([]Port, error) {
	command := "port/print"
	if inactive {
		command = "port/allprint"
	}
	lines, err := c.Command(ctx, command)
	if err != nil {
		return nil, err
	}
	return parsePorts(lines)
}

// Port returns port n, which must have an endpoint.
func (c *Client) Port(ctx context.Context, n int) (Port, error) {
	lines, err := c.Command(ctx, fmt.Sprintf("port/print %d", n))
	if err != nil {
		return Port{}, err
	}
	ports, err := parsePorts(lines)
	if err == nil && (len(ports) != 1 || ports[0].Number != n) {
		err = fmt.Errorf("console: an answer about other ports than %d", n)
	}
	if err != nil {
		return Port{}, err
	}
	return ports[0], nil
}

func parsePorts(lines []string) ([]Port, error) {
	var ports []Port
	var numbers numberParser
	for _, line := range lines {
		if m := portLine.FindStringSubmatch(line); m != nil {
			p := Port{Active: m[3] == "", Allocatable: m[4] == ""}
			p.Number = int(numbers.parse(m[1], 31))
			p.VLAN = uint16(numbers.parse(m[2], 16))
			if len(ports) > 0 && ports[len(ports)-1].Number >= p.Number {
				return nil, fmt.Errorf("console: port %d follows port %d", p.Number, ports[len(ports)-1].Number)
			}
			ports = append(ports, p)
			continue
		}
		if len(ports) == 0 || !numbers.portDetail(&ports[len(ports)-1], line) {
			return nil, fmt.Errorf("console: not a line of a list of ports: %q", line)
		}
	}
	return ports, numbers.err
}

// portDetail reads a line about p and reports whether it is one.
func (n *numberParser) portDetail(p *Port, line string) bool {
	if m := userLine.FindStringSubmatch(line); m != nil {
		p.User, p.AllowUser, p.AllowGroup = m[1], m[2], m[3]
	} else if m := counterLine.FindStringSubmatch(line); m != nil {
		counters := Counters{n.parse(m[2], 64), n.parse(m[3], 64)}
		if p.Counters = true; m[1] == "IN" {
			p.In = counters
		} else {
			p.Out = counters
		}
	} else if m := endpointLine.FindStringSubmatch(line); m != nil {
		p.Endpoints = append(p.Endpoints, Endpoint{n.parse(m[1], 64), strings.TrimRight(m[2], " "), m[3]})
	} else {
		return strings.Contains(line, "no endpoint description")
	}
	return true
}

// A numberParser parses numbers and keeps the first error.
type numberParser struct{ err error }

func (n *numberParser) parse(text string, bits int) uint64 {
	v, err := strconv.ParseUint(text, 10, bits)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("console: %w", err)
	}
	return v
}

// VLANs returns the VLANs, with their ports that have an endpoint or, with inactive, all.
func (c *Client) VLANs(ctx context.Context, inactive bool) ([]VLAN, error) {
	command := "vlan/print"
	if inactive {
		command = "vlan/allprint"
	}
	lines, err := c.Command(ctx, command)
	if err != nil {
		return nil, err
	}
	return parseVLANs(lines)
}

func parseVLANs(lines []string) (vlans []VLAN, err error) {
	var numbers numberParser
	for _, line := range lines {
		if m := vlanLine.FindStringSubmatch(line); m != nil {
			vlans = append(vlans, VLAN{ID: uint16(numbers.parse(m[1], 16))})
			continue
		}
		m := vlanPortLine.FindStringSubmatch(line)
		if m == nil || len(vlans) == 0 {
			return nil, fmt.Errorf("console: not a line of a list of VLANs: %q", line)
		}
		v := &vlans[len(vlans)-1]
		v.Ports = append(v.Ports, VLANPort{int(numbers.parse(m[1], 31)), m[2] == "1", m[3] == "1", m[4]})
	}
	return vlans, numbers.err
}

// FDB returns the forwarding database, in the order of the switch. That of a vde_switch
// with thousands of addresses cannot be had: it cuts the answer, and the session ends with
// [ErrOutOfStep].
func (c *Client) FDB(ctx context.Context) ([]vswitch.FDBEntry, error) {
	lines, err := c.Command(ctx, "hash/print")
	if err != nil {
		return nil, err
	}
	return parseFDB(lines)
}

func parseFDB(lines []string) (list []vswitch.FDBEntry, err error) {
	var numbers numberParser
	for _, line := range lines {
		m := hashLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("console: not a line of the FDB: %q", line)
		}
		var e vswitch.FDBEntry
		if err := e.MAC.UnmarshalText([]byte(m[1])); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		e.VLAN, e.Port = uint16(numbers.parse(m[2], 16)), int(numbers.parse(m[3], 31))
		if age, err := strconv.ParseInt(m[4], 10, 32); err == nil {
			e.Age = time.Duration(max(age, 0)) * time.Second
		}
		list = append(list, e)
	}
	return list, numbers.err
}

// Info returns what the switch says of itself.
func (c *Client) Info(ctx context.Context) (Info, error) {
	info := Info{Version: c.Version}
	var lines []string
	for _, command := range []string{"showinfo", "port/showinfo", "fstp/showinfo", "ds/showinfo"} {
		data, err := c.Command(ctx, command)
		if err != nil && !errors.Is(err, NoCommand) {
			return Info{}, err
		}
		lines = append(lines, data...)
	}
	var numbers numberParser
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		switch {
		case key == "Numports":
			info.Ports = int(numbers.parse(value, 31))
		case key == "HUB":
			info.Hub = value == "true"
		case key == "FSTP":
			info.FSTP = value == "true"
		case strings.HasPrefix(line, "ctl dir "):
			info.Dir = strings.TrimPrefix(line, "ctl dir ")
		}
		if m := processLine.FindStringSubmatch(line); m != nil {
			info.PID = int(numbers.parse(m[1], 31))
			info.Uptime = time.Duration(numbers.parse(m[3], 31)) * time.Second
			if err := info.MAC.UnmarshalText([]byte(m[2])); err != nil {
				return Info{}, fmt.Errorf("console: %w", err)
			}
		}
	}
	return info, numbers.err
}
