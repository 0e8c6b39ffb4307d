// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/node"
)

// octal returns mode as it is written.
func octal(t *testing.T, path string) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%05o", st.Mode&0o7777)
}

// TestPermissions checks the permissions of the directory and of ctl for the parameters
// of the locator, beside those that libvdeplug's node makes. The one difference is the
// sticky bit of a directory that others may write to.
func TestPermissions(t *testing.T) {
	for _, test := range []struct{ params, ctl, dir, dirOfC string }{
		{"", "00600", "02700", "02700"},
		{"[mode=666]", "00666", "03777", "02777"},
		{"[mode=640]", "00640", "02750", "02750"},
		{"[m=777/d=2750]", "00666", "02750", "02750"}, // without the execute bits
		{"[dirmode=755]", "00600", "00755", "00755"},
		{"[mode=0660/dirmode=03770]", "00660", "03770", ""},
	} {
		t.Run(test.params, func(t *testing.T) {
			dir := newDir(t)
			open(t, node.Hub, dir, test.params)
			if ctl, d := octal(t, dir+"/ctl"), octal(t, dir); ctl != test.ctl || d != test.dir {
				t.Errorf("ctl %s, directory %s, want %s, %s", ctl, d, test.ctl, test.dir)
			}
			if test.dirOfC == "" {
				return
			}
			testpeers.Need(t, "linux", "vde_plug")
			var params []string
			if test.params != "" {
				params = []string{test.params[1 : len(test.params)-1]}
			}
			n := testpeers.StartNode(t, "hub", params...)
			if ctl, d := octal(t, n.Dir()+"/ctl"), octal(t, n.Dir()); ctl != test.ctl || d != test.dirOfC {
				t.Errorf("libvdeplug: ctl %s, directory %s", ctl, d)
			}
		})
	}
}

// TestGroup checks that grp takes a number and a name, and that an unknown group is an
// error that leaves nothing, where libvdeplug goes on without.
func TestGroup(t *testing.T) {
	testpeers.Need(t, "CAP_CHOWN")
	for _, grp := range []string{"12345", "daemon"} {
		dir := newDir(t)
		open(t, node.Switch, dir, "[mode=660/grp="+grp+"]")
		for _, path := range []string{dir, dir + "/ctl"} {
			var st syscall.Stat_t
			if err := syscall.Lstat(path, &st); err != nil || st.Gid != map[string]uint32{"12345": 12345, "daemon": 1}[grp] {
				t.Errorf("%s: group %d, %v", path, st.Gid, err)
			}
		}
	}
	dir := newDir(t)
	_, err := vde.Open(t.Context(), "switch://"+dir+"[grp=no-such-group]", vde.WithDrivers(node.Drivers()))
	if err == nil {
		t.Error("an unknown group was taken")
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// TestDirectory checks that the node removes what it has made, that one in use is an
// error, and that files of others stay.
func TestDirectory(t *testing.T) {
	for kind := range tableSteps {
		dir := newDir(t)
		locator := string(kind) + "://" + dir
		c, err := vde.Open(t.Context(), locator, vde.WithDrivers(node.Drivers()))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Caps().Address; got != locator {
			t.Errorf("address %q, want %q", got, locator)
		}
		if _, err := vde.Open(t.Context(), locator, vde.WithDrivers(node.Drivers())); !errors.Is(err, vswitch.ErrInUse) {
			t.Errorf("a second one: %v", err)
		}
		cable := join(t, dir)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-cable.Context().Done()
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left: %v", err)
		}
	}
	dir := testutil.ShortDir(t)
	if err := os.WriteFile(dir+"/mine", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := open(t, node.Hub, dir, "")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

// TestKilled kills a node with cables, and starts it again in the same directory, where
// libvdeplug fails with EEXIST. At its end nothing is left.
func TestKilled(t *testing.T) {
	for kind := range tableSteps {
		t.Run(string(kind), func(t *testing.T) {
			dir := newDir(t)
			locator := string(kind) + "://" + dir
			server := testpeers.StartServer(t, dir, testpeers.ProcessConfig{
				Args: []string{testpeers.TestBinary(t)}, Env: []string{nodeEnv + "=" + locator},
			})
			cable := join(t, dir, vde.WithSharedMemory(vde.SharedMemoryNever))
			server.Kill()
			<-cable.Context().Done()
			left, err := os.ReadDir(dir)
			if err != nil || len(left) < 2 {
				t.Errorf("the killed node has left %v, %v", left, err)
			}

			c, _ := open(t, kind, dir, "")
			names, err := filepath.Glob(dir + "/[0-9]*")
			if err != nil || len(names) > 0 {
				t.Errorf("data sockets of the killed node: %v, %v", names, err)
			}
			f := numbered(mac(0), mac(1), 0, 60)
			write(t, join(t, dir), f)
			wantFrame(t, "the host", c, f)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("left: %v", err)
			}
		})
	}
}

// TestKilledNodeOfLibvdeplug takes over what libvdeplug's node leaves.
func TestKilledNodeOfLibvdeplug(t *testing.T) {
	n := testpeers.StartNode(t, "switch")
	cable := join(t, n.Dir())
	n.Kill()
	<-cable.Context().Done()
	c, _ := open(t, node.Switch, n.Dir(), "")
	f := numbered(mac(0), mac(1), 0, 60)
	write(t, join(t, n.Dir()), f)
	wantFrame(t, "the host", c, f)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(n.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// TestDefaultDirectory checks where a node is whose locator has no path. In /tmp
// everybody may have made that directory before.
func TestDefaultDirectory(t *testing.T) {
	dir := node.DefaultDir()
	if filepath.Dir(dir) != "/tmp" || len(filepath.Base(dir)) <= len("vdenode_") {
		t.Errorf("%s", dir)
	}
	testpeers.Need(t, "linux", "CAP_CHOWN")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skipf("it is in use: %v", err)
	}
	defer os.Remove(dir)
	if err := os.Chown(dir, 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := vde.Open(t.Context(), "hub://", vde.WithDrivers(node.Drivers())); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("in a directory of another user: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	c, err := vde.Open(t.Context(), "hub://", vde.WithDrivers(node.Drivers()))
	if err != nil {
		t.Fatal(err)
	}
	join(t, dir)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenErrors checks what cannot be opened, and that it leaves nothing.
func TestOpenErrors(t *testing.T) {
	base := testutil.ShortDir(t)
	file := base + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for locator, want := range map[string]error{
		"switch://" + base + "/none/n":     fs.ErrNotExist,
		"switch://" + file:                 syscall.ENOTDIR,
		"hub://" + base + "/n[speed=3]":    syscall.EINVAL,
		"multi://" + base + "/n[mode=9]":   syscall.EINVAL,
		"bonding://" + base + "/n[e=soon]": syscall.EINVAL,
	} {
		if _, err := vde.Open(t.Context(), locator, vde.WithDrivers(node.Drivers())); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", locator, err, want)
		}
	}
	if _, err := vde.Open(t.Context(), "switch://"+base+"/n"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without the option: %v", err)
	}
	if names, err := os.ReadDir(base); err != nil || len(names) != 1 {
		t.Errorf("left: %v, %v", names, err)
	}
}
