// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/go-vde/sdk/internal/jsonconf"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
)

// An address is what a locator says.
type address struct {
	dir     string // as written; empty for the default
	mode    fs.FileMode
	dirMode fs.FileMode // 0 if neither it nor mode was given
	group   string

	hashSize   int // -1 if it was not given
	expireTime time.Duration
}

// Bounds and defaults of an address. A table of maxHashSize entries takes some GiB.
const (
	maxHashSize       = 1 << 24
	defaultExpireTime = 120 * time.Second
)

// names are the parameters, in the order in which abbreviations are looked up
// (docs/spec/vnl.md, section 3.4).
var names = [...]string{"mode", "dirmode", "grp", "hashsize", "hashseed", "expiretime"}

// parseAddress interprets l. The error matches syscall.EINVAL.
func parseAddress(l vnl.Locator) (address, error) {
	a := address{hashSize: -1, expireTime: defaultExpireTime}
	dir, params, err := l.Bracketed()
	if err != nil {
		return address{}, err
	}
	a.dir = dir
	values := make(map[string]string)
	for _, p := range params {
		name := vnl.MatchName(p.Key, names[:])
		if name == "" {
			return address{}, vnl.Errorf("unknown parameter %q, want one of %s", p.Key, strings.Join(names[:], ", "))
		}
		values[name] = p.Value // the last one wins, even if it is empty
	}
	if err := a.assignModes(values["mode"], values["dirmode"]); err != nil {
		return address{}, err
	}
	a.group = values["grp"]
	if s, ok := values["hashsize"]; ok {
		if a.hashSize, err = parseHashSize(s); err != nil {
			return address{}, err
		}
	}
	if s, ok := values["hashseed"]; ok {
		if _, err := parseNumber("hashseed", s); err != nil {
			return address{}, err
		}
	}
	if s, ok := values["expiretime"]; ok {
		n, err := parseNumber("expiretime", s)
		if err != nil {
			return address{}, err
		}
		a.expireTime = vswitch.Forever
		if n <= uint64(maxExpireTime/time.Second) {
			a.expireTime = max(time.Duration(n)*time.Second, time.Second)
		}
	}
	return a, nil
}

// maxExpireTime is the longest ageing time that is one; more is for ever.
const maxExpireTime = 70 * 365 * 24 * time.Hour

// assignModes sets the permissions from parameters, which are empty if not given. The
// mode of a socket loses its execute bits.
func (a *address) assignModes(mode, dirMode string) (err error) {
	if a.mode, err = parseMode("mode", mode, 0o777); err != nil {
		return err
	}
	a.mode &= 0o666
	if a.dirMode, err = parseMode("dirmode", dirMode, 0o3777); err != nil {
		return err
	}
	if a.mode == 0 && a.dirMode != 0 {
		a.mode = 0o600 // dirmode alone leaves it
	}
	return nil
}

// parseMode parses permissions. 0 is taken for "not given", because a socket or a
// directory that even its owner cannot use is of no use.
func parseMode(name, s string, most uint64) (fs.FileMode, error) {
	if s == "" {
		return 0, nil
	}
	mode, ok := jsonconf.ParseMode(s, most)
	if !ok {
		return 0, vnl.Errorf("%s %q is not an octal number from 0 to %#o", name, s, most)
	}
	return mode, nil
}

// parseNumber parses the decimal number of a parameter.
func parseNumber(name, s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, vnl.Errorf("%s %q is not a decimal number", name, s)
	}
	return n, nil
}

// parseHashSize parses the number of addresses, and rounds it up to a power of two.
func parseHashSize(s string) (int, error) {
	n, err := parseNumber("hashsize", s)
	switch {
	case err != nil:
		return 0, err
	case n > maxHashSize:
		return 0, vnl.Errorf("hashsize %s: give at most %d", s, maxHashSize)
	case n == 0:
		return 0, nil
	}
	size := 1
	for size < int(n) {
		size *= 2
	}
	return size, nil
}

// defaultDir returns the directory of a locator without a path.
func defaultDir() string {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil && u.Username != "" && !strings.ContainsAny(u.Username, "/\x00") {
		return "/tmp/vdenode_" + u.Username
	}
	return "/tmp/vdenode_u" + uid
}
