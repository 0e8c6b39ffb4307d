// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/vnl"
)

// Params are what the locators of vxlan and vxvde say. The parameters that only
// vxvde has are grp and bind.
type Params struct {
	Host      string // the address as written; empty if it was not given
	Family    Family
	Port      int
	VNI       int // negative if it was not given
	Group     int // gid; negative if it was not given
	TTL       int // negative if it was not given
	Buffer    int // of received datagrams (0: the default)
	Size      int // of the table
	Age       time.Duration
	Interface string
	Bind      string
}

// Names are the names of parameters of a scheme, in the order in which abbreviations
// are compared with them.
type Names []string

// The names of docs/spec/vnl.md, section 3.4.
var (
	VXLANNames = Names{"port", "vni", "ttl", "rcvbuf", "v6", "v4", "hashsize", "expiretime", "if"}
	VXVDENames = Names{"port", "vni", "grp", "ttl", "rcvbuf", "v6", "v4", "hashsize", "expiretime", "if", "bind"}
)

const (
	maxVNI       = 1<<24 - 1
	defaultSize  = 1024
	defaultAge   = 128 * time.Second
	maxTableSize = 1 << 16
	maxAge       = 1 << 30 // seconds
	maxGID       = 1<<31 - 1
)

// ParseParams interprets l. groups says that vni may be the name of a group. The
// error matches syscall.EINVAL, except where a group is unknown.
func ParseParams(l vnl.Locator, names Names, port int, groups bool, egid int) (p Params, err error) {
	p = Params{Family: AnyFamily, Port: port, VNI: -1, Group: -1, TTL: -1, Size: defaultSize, Age: defaultAge}
	var list []vnl.Param
	if p.Host, list, err = l.Slashed(); err != nil {
		return p, err
	}
	v4, v6 := false, false
	for _, param := range list {
		switch name := vnl.MatchName(param.Key, names); name {
		case "":
			err = vnl.Errorf("unknown parameter %q, want one of %s", param.Key, strings.Join(names, ", "))
		case "v4":
			v4 = true
		case "v6":
			v6 = true
		default:
			err = p.set(name, param.Value, groups, egid)
		}
		if err != nil {
			return p, err
		}
	}
	switch {
	case v4 && !v6:
		p.Family = IPv4
	case v6 && !v4:
		p.Family = IPv6
	}
	return p, nil
}

// set sets a parameter that has a value.
func (p *Params) set(name, value string, groups bool, egid int) (err error) {
	switch name {
	case "port":
		p.Port, err = Number(name, value, 1, 1<<16-1)
	case "vni":
		if !groups {
			p.VNI, err = Number(name, value, 0, maxVNI)
		} else if p.VNI, err = gid(name, value, egid); err == nil && p.VNI > maxVNI {
			err = vnl.Errorf("%s %q is %d, the highest is %d", name, value, p.VNI, maxVNI)
		}
	case "grp":
		p.Group, err = gid(name, value, egid)
	case "ttl":
		p.TTL, err = Number(name, value, 0, 255)
	case "rcvbuf":
		p.Buffer, err = Bytes(name, value)
	case "hashsize":
		p.Size, err = Number(name, value, 0, maxTableSize)
	case "expiretime":
		var n int
		if n, err = Number(name, value, -maxAge, maxAge); n > 0 {
			p.Age = time.Duration(n) * time.Second
		} else {
			p.Age = defaultAge
		}
	case "if":
		p.Interface = value
	case "bind":
		p.Bind = value
	}
	return err
}

// gid returns the number that a value stands for which may be the name of a group:
// the effective group of this process if it is empty.
func gid(name, value string, egid int) (int, error) {
	if value == "" {
		return egid, nil
	}
	if strings.Trim(value, "0123456789") == "" {
		return Number(name, value, 0, maxGID)
	}
	n, err := account.GroupID(value)
	if err != nil {
		return 0, vnl.Errorf("%s %q: %v: give a number or a group of this system", name, value, err)
	}
	return n, nil
}

// NeedsScope reports whether a is only meant on one interface, that of its scope.
func (a Addr) NeedsScope() bool {
	ip := a.AddrPort().Addr()
	return ip.Is6() && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast())
}

// ScopeHint returns what would help if a cannot be used because its interface is missing.
func (a Addr) ScopeHint() string {
	if !a.NeedsScope() || a.Scope != 0 {
		return ""
	}
	return fmt.Sprintf(" (it is an address of a link: name the interface too, as in %s%%eth0)", a.AddrPort().Addr())
}

// IsMulticast reports whether a is the address of a multicast group.
func (a Addr) IsMulticast() bool { return a.AddrPort().Addr().IsMulticast() }

// Remote returns the address of the tunnel, and the number of its interface, which an
// address may name too, or 0. A default group stands in for an address that is not given.
func (p *Params) Remote(ctx context.Context, group4, group6 string) (remote Addr, ifindex int, err error) {
	host := p.Host
	if host == "" {
		host = group4
		if p.Family == IPv6 {
			host = group6
		}
	}
	if remote, err = Resolve(ctx, host, p.Family); err != nil {
		return remote, 0, err
	}
	if p.Interface != "" {
		if ifindex, err = InterfaceIndex(p.Interface); err != nil {
			return remote, 0, err
		}
		if remote.Scope == 0 && !remote.Is4() {
			remote.Scope = uint32(ifindex)
		}
	}
	switch {
	case ifindex == 0:
		ifindex = int(remote.Scope)
	case remote.Scope != 0 && remote.Scope != uint32(ifindex):
		return remote, 0, vnl.Errorf("if=%s is another interface than that of the address %s", p.Interface, host)
	}
	remote.Port = uint16(p.Port)
	return remote, ifindex, nil
}
