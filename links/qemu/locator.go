// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/go-vde/sdk/vnl"
)

// An address is what a locator of one of the schemes says.
type address struct {
	network string // "unix" or "tcp"
	local   string // path of our socket, of a server or of dgram
	remote  string // where to connect to
	server  bool

	reconnect bool
	pause     time.Duration // between attempts, at most; 0: the default

	mode  fs.FileMode // 0: not given
	group string

	superframes int // the MTU of what superframes become; 0: there are none

	vfkit bool // begin with vfkit's datagram

	vpnkit bool   // begin with the handshake of VPNKit
	uuid   string // that a client tells in it
}

// The parameters of schemes. As in libvdeplug they may be abbreviated.
var (
	streamParams   = []string{"server", "reconnect", "mode", "group", "superframes"}
	hyperkitParams = []string{"server", "reconnect", "mode", "group", "superframes", "vpnkit"}
	bessParams     = []string{"server", "reconnect", "mode", "group"}
	dgramParams    = []string{"server", "mode", "group", "vfkit"}
)

// parse interprets l. The error matches syscall.EINVAL.
func parse(l vnl.Locator) (address, error) {
	base, params, err := quoteIPv6(l).Bracketed()
	if err != nil {
		return address{}, err
	}
	names := streamParams
	switch l.Scheme {
	case "dgram":
		names = dgramParams
	case "bess":
		names = bessParams
	case "hyperkit":
		names = hyperkitParams
	}
	a := address{network: "unix"}
	for _, p := range params {
		if err := a.assign(p, names); err != nil {
			return address{}, err
		}
	}
	if l.Scheme == "dgram" {
		err = a.datagrams(base)
	} else {
		err = a.connection(base, l.Scheme != "bess")
	}
	return a, err
}

// quoteIPv6 quotes the brackets of an IPv6 address that l begins with, behind which a port
// follows: they would be those of parameters, which need an address before them.
func quoteIPv6(l vnl.Locator) vnl.Locator {
	inner, found := strings.CutPrefix(l.Arg, "[")
	ip, port, colon := strings.Cut(inner, "]:")
	if a, err := netip.ParseAddr(ip); found && colon && err == nil && a.Is6() {
		l.Arg = `\[` + vnl.Quote(ip) + `\]:` + port
	}
	return l
}

// assign takes the value of p.
func (a *address) assign(p vnl.Param, names []string) (err error) {
	switch name := vnl.MatchName(p.Key, names); name {
	case "server":
		a.server, err = parseSwitch(p)
	case "vfkit":
		a.vfkit, err = parseSwitch(p)
	case "reconnect":
		a.reconnect, a.pause, err = parsePause(p)
	case "mode":
		n, e := strconv.ParseUint(p.Value, 8, 32)
		if e != nil || n > uint64(fs.ModePerm) {
			return vnl.Errorf("mode %q is not an octal number from 0 to 777", p.Value)
		}
		a.mode = fs.FileMode(n)
	case "group":
		a.group = p.Value
	case "superframes":
		a.superframes, err = parseMTU(p)
	case "vpnkit":
		a.vpnkit, a.uuid, err = parseVPNKit(p)
	default:
		return vnl.Errorf("unknown parameter %q, want one of %s", p.Key, strings.Join(names, ", "))
	}
	return err
}

// parseSwitch parses QEMU's on and off.
func parseSwitch(p vnl.Param) (bool, error) {
	switch {
	case !p.HasValue, p.Value == "on":
		return true, nil
	case p.Value == "off":
		return false, nil
	}
	return false, vnl.Errorf("%s is on or off, not %q", p.Key, p.Value)
}

// parseMTU parses an MTU, 1500 if there is none.
func parseMTU(p vnl.Param) (int, error) {
	if !p.HasValue {
		return 1500, nil
	}
	n, err := strconv.ParseUint(p.Value, 10, 32)
	if err != nil || n < minMTU || n > maxMTU {
		return 0, vnl.Errorf("superframes %q is not an MTU from %d to %d", p.Value, minMTU, maxMTU)
	}
	return int(n), nil
}

// parseVPNKit parses a switch or a UUID.
func parseVPNKit(p vnl.Param) (on bool, uuid string, err error) {
	if !p.HasValue || p.Value == "on" || p.Value == "off" {
		on, err = parseSwitch(p)
		return on, "", err
	}
	return true, p.Value, checkUUID(p.Value)
}

// The least MTU that every IPv4 network has (RFC 791), and the greatest.
const (
	minMTU = 576
	maxMTU = 65535
)

// maxPause is the longest pause between attempts in seconds.
const maxPause = 3600

// parsePause parses QEMU's reconnect, a number of seconds of which 0 says no.
func parsePause(p vnl.Param) (reconnect bool, pause time.Duration, err error) {
	if !p.HasValue {
		return true, 0, nil
	}
	n, err := strconv.ParseUint(p.Value, 10, 32)
	if err != nil || n > maxPause {
		return false, 0, vnl.Errorf("reconnect %q is not a number of seconds from 0 to %d", p.Value, maxPause)
	}
	return n > 0, time.Duration(n) * time.Second, nil
}

// connection takes the address of a connection.
func (a *address) connection(base string, tcp bool) error {
	if base == "" {
		return vnl.Errorf("no address: give the path of a socket, or HOST:PORT")
	}
	if tcp && !strings.Contains(base, "/") && strings.Contains(base, ":") {
		if _, port, err := net.SplitHostPort(base); err != nil || port == "" {
			return vnl.Errorf("%q is neither the path of a socket nor HOST:PORT", base)
		}
		a.network = "tcp"
		if a.mode != 0 || a.group != "" {
			return vnl.Errorf("mode and group are for unix sockets, not for %s", base)
		}
	}
	if a.server && a.reconnect {
		return vnl.Errorf("reconnect is for clients: a server waits for the next peer anyway")
	}
	if a.server && a.uuid != "" {
		return vnl.Errorf("vpnkit=%s is for clients: a server learns the UUID", a.uuid)
	}
	if a.server {
		a.local = base
	} else {
		a.remote = base
	}
	if base == "@" {
		return vnl.Errorf("the abstract name is empty: give one after the @")
	}
	if a.vpnkit && !a.server && a.uuid == "" {
		a.uuid = newUUID() // the same each time that the link connects
	}
	return nil
}

// datagrams takes the address of a pair of datagram sockets.
func (a *address) datagrams(base string) error {
	local, remote, both := strings.Cut(base, "->")
	switch {
	case both && (local == "" || remote == ""):
		return vnl.Errorf("%q: give both paths, LOCAL->REMOTE", base)
	case base == "":
		return vnl.Errorf("no address: give LOCAL->REMOTE, REMOTE, or LOCAL[server]")
	case both && a.server:
		return vnl.Errorf("%q: a server learns where its peer is: leave out ->%s", base, remote)
	case a.server && a.vfkit:
		return vnl.Errorf("vfkit is for clients: a server accepts its datagram anyway")
	case both:
		a.local, a.remote = local, remote
	case a.server:
		a.local = base
	default:
		a.remote = base
	}
	for _, name := range []string{a.local, a.remote} {
		if _, port, err := net.SplitHostPort(name); err == nil && isPort(port) && !strings.Contains(name, "/") {
			return vnl.Errorf("%s is a UDP port: for datagrams between two of them open udp://[SRC:]SRCPORT->DST:DSTPORT; a file of the name is ./%s", name, name)
		}
	}
	return a.abstract()
}

// isPort reports whether s is the number of a port.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// abstract returns an error if a datagram socket of ours is to have an abstract name:
// everybody in the network namespace could send to it, and who that was is not told.
func (a *address) abstract() error {
	if strings.HasPrefix(a.local, "@") {
		return vnl.Errorf("%q is an abstract name, and everybody could send datagrams to it: give a path; a file of the name is ./%s", a.local, a.local)
	}
	return nil
}
