// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vswitch/console"
)

// What is typed at a terminal, and a part of what it shows then.
var typed = []struct{ command, shows string }{
	{"port/create 5", "Success"},
	{"port/allprint", "Port 0005 untagged_vlan=0000 INACTIVE - NOT Unnamed Allocatable"},
	{"bogus", "Function not implemented"},
	{"port/setvlan 5 9", "No such device or address"},
	{"port/remove 5", "Success"},
}

// TestTerminals types commands at the terminals of Debian, for vde_switch and for ours.
func TestTerminals(t *testing.T) {
	testpeers.Need(t, "unixterm", "vdeterm")
	b := startBoth(t)
	for _, path := range b.mgmts() {
		b.terminal("unixterm", path, "vde$ ")
		b.terminal("vdeterm", path, "vde["+path+"]: ")
	}
}

// terminal runs a program, awaits its prompt, and types at it what is in typed and then logout.
func (b *both) terminal(program, path, prompt string) {
	b.Helper()
	ours, theirs := openTerminal(b)
	defer ours.Close()
	cmd := exec.CommandContext(b.Context(), program, path)
	cmd.Stdin, cmd.Stdout = theirs, theirs
	err := cmd.Start()
	theirs.Close()
	if err != nil {
		b.Fatal(err)
	}
	defer time.AfterFunc(hang, func() { cmd.Process.Kill() }).Stop()
	var shown strings.Builder
	await := func(text string) {
		buf := make([]byte, 4096)
		for !strings.Contains(shown.String(), text) {
			n, err := ours.Read(buf)
			shown.Write(buf[:n])
			if err != nil {
				b.Fatalf("%s at %s: %v, want %q after %q", program, path, err, text, shown.String())
			}
		}
		shown.Reset()
	}
	await(prompt)
	for _, c := range typed {
		io.WriteString(ours, c.command+"\n")
		await(c.shows)
	}
	io.WriteString(ours, "logout\n")
	_, _ = io.Copy(io.Discard, ours) // up to EIO
	cmd.Wait()                       // its status says nothing
}

// TestClientWithStock reads everything from a vde_switch.
func TestClientWithStock(t *testing.T) {
	b := startBoth(t)
	p := b.plug("[3]", "three")
	q := b.plug("", "any")
	b.send(p, q, macA, macB)
	b.run("vlan/create 7", "vlan/addport 7 3", "port/create 9")
	var ports [2][]console.Port
	var vlans [2][]console.VLAN
	for i, path := range b.mgmts() {
		c := dial(t, path)
		var err error
		if ports[i], err = c.Ports(t.Context(), true); err != nil || len(ports[i]) != 3 {
			t.Errorf("%+v, %v", ports[i], err)
		}
		if vlans[i], err = c.VLANs(t.Context(), true); err != nil {
			t.Error(err)
		}
		table, err := c.FDB(t.Context())
		if err != nil || len(table) > 1 || len(table) == 1 && (table[0].MAC != macA || table[0].Port != 3) {
			t.Errorf("%+v, %v", table, err)
		}
		info, err := c.Info(t.Context())
		if err != nil || info.Version != "2.3.2" || info.Ports != 32 || info.PID == 0 || info.Dir == "" {
			t.Errorf("%+v, %v", info, err)
		}
	}
	for i := range ports[0] {
		stock, ours := &ports[0][i], &ports[1][i]
		for j := range stock.Endpoints {
			stock.Endpoints[j].ID, ours.Endpoints[j].ID = 0, 0
			stock.Endpoints[j].Description = b.normalize(stock.Endpoints[j].Description)
			ours.Endpoints[j].Description = b.normalize(ours.Endpoints[j].Description)
		}
	}
	if stock, ours := toText(ports[0], vlans[0]), toText(ports[1], vlans[1]); stock != ours {
		t.Errorf("vde_switch: %s\nours: %s", stock, ours)
	}
}

// openTerminal returns both sides of a terminal.
func openTerminal(t testing.TB) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testpeers.Skip(t, "/dev/ptmx", err.Error())
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	n, e := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}
