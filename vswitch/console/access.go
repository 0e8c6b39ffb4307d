// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"sync"

	"github.com/go-vde/sdk/vswitch"
)

// Access holds the access lists of ports, which port/setuser and port/setgroup change.
// Its method Admit makes a switch keep them, if it is that of [vswitch.Config]. The zero
// Access restricts nobody.
type Access struct {
	// Next, if not nil, decides about a client that the lists let in. It is not changed
	// after the first call of Admit.
	Next func(vswitch.Peer) (port int, err error)

	mu    sync.Mutex
	lists map[int]accessList // guarded by mu; those that restrict
}

// anyone in an accessList stands for no restriction.
const anyone = -1

// An accessList is who may use a port.
type accessList struct{ user, group int64 }

// Admit is a function for [vswitch.Config]: it refuses clients that ask for a port that
// they may not use. User 0 may use all, as in vde_switch.
func (a *Access) Admit(p vswitch.Peer) (port int, err error) {
	port = p.Port
	if a.Next != nil {
		if port, err = a.Next(p); err != nil {
			return 0, err
		}
	}
	n := port
	switch port {
	case 0: // any that is not reserved
		return port, nil
	case vswitch.Management:
		n = 0
	}
	if !a.list(n).admits(p) {
		return 0, fmt.Errorf("port %d is for others", n)
	}
	return port, nil
}

// list returns the list of port n.
func (a *Access) list(n int) accessList {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l, ok := a.lists[n]; ok {
		return l
	}
	return accessList{anyone, anyone}
}

// set makes l the list of port n.
func (a *Access) set(n int, l accessList) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !l.restricts() {
		delete(a.lists, n)
		return
	}
	if a.lists == nil {
		a.lists = make(map[int]accessList)
	}
	a.lists[n] = l
}

func (l accessList) restricts() bool { return l.user != anyone || l.group != anyone }

// admits reports whether p may use the port.
func (l accessList) admits(p vswitch.Peer) bool {
	switch {
	case p.UID == 0 || !l.restricts() || l.user == int64(p.UID):
		return true
	case l.group == anyone:
		return false
	case l.group == int64(p.GID):
		return true
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, strconv.FormatInt(l.group, 10))
}

// id returns the number of the user or group text, as vde_switch understands it: NONE
// and ANY for no restriction, a name, or what begins with a number.
func id(text string, lookup func(name string) (string, error)) (n int64, ok bool) {
	if text == "NONE" || text == "ANY" {
		return anyone, true
	}
	if number, err := lookup(text); err == nil {
		n, err := strconv.ParseInt(number, 10, 64)
		return n, err == nil
	}
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, false
	}
	return int64(decimal(text)), true // -1 is anyone
}

func lookupUser(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func lookupGroup(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}

// names gives users and groups their names, and remembers them for one answer.
type names struct{ users, groups map[int64]string }

func newNames() *names { return &names{make(map[int64]string), make(map[int64]string)} }

func (c *names) user(n int64) string {
	return name(c.users, n, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (c *names) group(n int64) string {
	return name(c.groups, n, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// name returns the name of n, or NONE for anyone, or the number.
func name(known map[int64]string, n int64, lookup func(id string) (string, error)) string {
	if n == anyone {
		return "NONE"
	}
	text, ok := known[n]
	if !ok {
		number := strconv.FormatInt(n, 10)
		var err error
		if text, err = lookup(number); err != nil {
			text = number
		}
		known[n] = text
	}
	return text
}
