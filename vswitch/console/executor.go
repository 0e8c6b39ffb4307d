// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"bytes"
	"fmt"
	"strings"
)

// An executor runs the commands of a session and writes the answers.
type executor struct {
	srv    *Server
	sess   *session
	buf    bytes.Buffer // of the answer, not written yet
	locked bool         // the session is writing this answer
	err    error        // of the session
	depth  int          // of scripts
}

func (x *executor) printf(format string, args ...any) { fmt.Fprintf(&x.buf, format, args...) }

func (x *executor) status(s Status) {
	if s >= 0 {
		x.printf("1%03d %v\n", int(s), s)
	}
}

func (x *executor) prompt() {
	if !x.sess.quiet {
		x.buf.WriteString(promptText)
	}
}

// chunk is how much of an answer is kept in memory.
const chunk = 128 << 10

// full reports whether there is so much in memory that it is to be flushed.
func (x *executor) full() bool { return x.buf.Len() >= chunk }

// flush writes what there is of the answer, and has events wait for the rest of it. No
// lock of the server may be held.
func (x *executor) flush() error {
	if x.err == nil && !x.locked {
		x.err = x.sess.lock()
		x.locked = x.err == nil
	}
	if x.err == nil {
		x.err = x.sess.write(x.buf.Bytes())
	}
	x.buf.Reset()
	if x.buf.Cap() > 2*chunk {
		x.buf = bytes.Buffer{}
	}
	return x.err
}

// finish writes the rest of an answer.
func (x *executor) finish() error {
	if x.buf.Len() > 0 {
		x.flush()
	}
	if x.locked {
		x.sess.unlock()
		x.locked = false
	}
	return x.err
}

// A command is an entry of the table of commands. Without run it is the title of a menu.
type command struct {
	name, syntax, help string
	data               bool // the answer has data
	run                func(x *executor, arg string) Status
}

const menuSyntax = "============"

// commands is the table, in the order of vde_switch: a line runs the first command whose
// name it begins with.
var commands []command

func init() {
	commands = []command{
		{"ds", menuSyntax, "DATA SOCKET MENU", false, nil},
		{"ds/showinfo", "", "show ds info", true, (*executor).dsInfo},
		{"help", "[arg]", "Help (limited to arg when specified)", true, (*executor).help},
		{"logout", "", "logout from this mgmt terminal", false, (*executor).logout},
		{"shutdown", "", "shutdown of the switch", false, (*executor).shutdown},
		{"showinfo", "", "show switch version and info", true, (*executor).info},
		{"load", "path", "load a configuration script", false, (*executor).load},
		{"debug", menuSyntax, "DEBUG MENU", false, nil},
		{"debug/list", "", "list debug categories", true, (*executor).debugList},
		{"debug/add", "dbgpath", "enable debug info for a given category", false, (*executor).debugAdd},
		{"debug/del", "dbgpath", "disable debug info for a given category", false, (*executor).debugDel},
		{"plugin", menuSyntax, "PLUGINS MENU", false, nil},
		{"plugin/list", "", "list plugins", true, (*executor).pluginList},
		{"plugin/add", "library", "load a plugin", false, (*executor).pluginAdd},
		{"plugin/del", "name", "unload a plugin", false, (*executor).pluginDel},
		{"hash", menuSyntax, "HASH TABLE MENU", false, nil},
		{"hash/showinfo", "", "show hash info", true, (*executor).hashInfo},
		{"hash/setsize", "N", "change hash size", false, (*executor).hashSetSize},
		{"hash/setgcint", "N", "change garbage collector interval", false, (*executor).hashSetInterval},
		{"hash/setexpire", "N", "change hash entries expire time", false, (*executor).hashSetExpire},
		{"hash/setminper", "N", "minimum persistence time", false, (*executor).hashSetPersistence},
		{"hash/print", "", "print the hash table", true, (*executor).hashPrint},
		{"hash/find", "MAC [VLAN]", "MAC lookup", true, (*executor).hashFind},
		{"fstp", menuSyntax, "FAST SPANNING TREE MENU", false, nil},
		{"fstp/showinfo", "", "show fstp info", true, (*executor).fstpInfo},
		{"fstp/setfstp", "0/1", "Fast spanning tree protocol 1=ON 0=OFF", true, (*executor).fstpSet},
		{"fstp/setedge", "VLAN PORT 1/0", "Define an edge port for a vlan 1=Y 0=N", false, (*executor).fstpEdge},
		{"fstp/bonus", "VLAN PORT COST", "set the port bonus for a vlan", false, (*executor).fstpBonus},
		{"fstp/print", "[N]", "print fst data for the defined vlan", true, (*executor).fstpPrint},
		{"port", menuSyntax, "PORT STATUS MENU", false, nil},
		{"port/showinfo", "", "show port info", true, (*executor).portInfo},
		{"port/setnumports", "N", "set the number of ports", false, (*executor).portSetNum},
		{"port/sethub", "0/1", "1=HUB 0=switch", false, (*executor).portSetHub},
		{"port/setvlan", "N VLAN", "set port VLAN (untagged)", false, (*executor).portSetVLAN},
		{"port/createauto", "", "create a port with an automatically allocated id (inactive|notallocatable)", true, (*executor).portCreateAuto},
		{"port/create", "N", "create the port N (inactive|notallocatable)", false, (*executor).portCreate},
		{"port/remove", "N", "remove the port N", false, (*executor).portRemove},
		{"port/allocatable", "N 0/1", "Is the port allocatable as unnamed? 1=Y 0=N", false, (*executor).portAllocatable},
		{"port/setuser", "N user", "access control: set user", false, (*executor).portSetUser},
		{"port/setgroup", "N user", "access control: set group", false, (*executor).portSetGroup},
		{"port/epclose", "N ID", "remove the endpoint port N/id ID", false, (*executor).portEndpointClose},
		{"port/resetcounter", "[N]", "reset the port (N) counters", false, (*executor).portResetCounter},
		{"port/print", "[N]", "print the port/endpoint table", true, (*executor).portPrint},
		{"port/allprint", "[N]", "print the port/endpoint table (including inactive port)", true, (*executor).portPrintAll},
		{"vlan", menuSyntax, "VLAN MANAGEMENT MENU", false, nil},
		{"vlan/create", "N", "create the VLAN with tag N", false, (*executor).vlanCreate},
		{"vlan/remove", "N", "remove the VLAN with tag N", false, (*executor).vlanRemove},
		{"vlan/addport", "N PORT", "add port to the vlan N (tagged)", false, (*executor).vlanAddPort},
		{"vlan/delport", "N PORT", "add port to the vlan N (tagged)", false, (*executor).vlanDelPort},
		{"vlan/print", "[N]", "print the list of defined vlan", true, (*executor).vlanPrint},
		{"vlan/allprint", "[N]", "print the list of defined vlan (including inactive port)", true, (*executor).vlanPrintAll},
	}
}

// command runs line and adds the answer, without a prompt. It returns false if the
// session is to end.
func (x *executor) command(line string) bool {
	line, _, _ = strings.Cut(line, "\x00")
	line = strings.TrimLeft(line, " \t")
	if line == "" || line[0] == '#' {
		return true
	}
	for i := range commands {
		c := &commands[i]
		arg, ok := strings.CutPrefix(line, c.name)
		if !ok || c.run == nil {
			continue
		}
		if c.data {
			x.buf.WriteString(dataHeader)
		}
		status := c.run(x, strings.TrimLeft(arg, " \t"))
		if c.data {
			x.buf.WriteString(".\n")
		}
		x.status(status)
		return status != endSession
	}
	x.status(NoCommand)
	return true
}

func (x *executor) help(arg string) Status {
	x.buf.WriteString("COMMAND PATH       SYNTAX          HELP\n------------       --------------  ------------\n")
	for _, c := range commands {
		if strings.HasPrefix(c.name, arg) {
			x.printf("%-18s %-15s %s\n", c.name, c.syntax, c.help)
		}
	}
	return OK
}

func (x *executor) logout(string) Status {
	if x.depth > 0 || x.sess.terminal {
		return noStatus
	}
	x.buf.WriteString(goodbyeText)
	return endSession
}

func (x *executor) shutdown(string) Status {
	switch {
	case x.depth > 0:
		return noStatus
	case x.srv.opts.Shutdown == nil:
		return NoCommand
	}
	x.srv.opts.Logger.Info("shutdown by a console")
	defer func() { go x.srv.opts.Shutdown() }()
	if x.sess.terminal {
		return noStatus
	}
	x.buf.WriteString(goodbyeText)
	x.finish() // before the sessions end
	return endSession
}

func (x *executor) info(string) Status {
	s := x.srv
	x.printf("VDE switch V.%s\n%s\n\npid %d MAC %v uptime %d\n", s.opts.Version, s.opts.Notice, pid, s.opts.MAC, s.uptime())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, socket := range s.sockets {
		x.printf("mgmt %s perm 0%03o\n", socket.path, socket.mode.Perm())
	}
	return OK
}

func (x *executor) dsInfo(string) Status {
	x.printf("ctl dir %s\nstd mode 0%03o\n", x.srv.opts.Dir, x.srv.opts.Mode.Perm())
	return OK
}

func (x *executor) pluginList(string) Status {
	x.buf.WriteString("NAME                   HELP\n------------           ----\n")
	return NoEntry
}

func (x *executor) pluginAdd(arg string) Status {
	if arg == "" {
		return BadValue
	}
	return NoEntry
}

func (x *executor) pluginDel(string) Status { return NoEntry }
