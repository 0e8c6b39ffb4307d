// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Skip skips the test because what is missing; remedy tells a person how to provide it. With CI=true in the
// environment it fails the test instead. All skips of this package call Skip.
func Skip(t testing.TB, what, remedy string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s (%s); CI=true forbids skipping", what, remedy)
		return
	}
	t.Skipf("missing: %s (%s)", what, remedy)
}

// Need calls [Skip] unless everything named is present. The form of a name says what it is:
//
//   - "CAP_NET_ADMIN": a capability in the effective set of this process;
//   - "/dev/net/tun": a file that can be opened for reading and writing;
//   - "libvdeplug.h": a header that gcc finds;
//   - "linux": the operating system;
//   - anything else: a program in PATH, /usr/sbin or /sbin.
func Need(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := missing(name); err != nil {
			Skip(t, name, err.Error())
			return
		}
	}
}

// needRealPeers is the first line of every helper that starts a real peer.
func needRealPeers(t testing.TB, names ...string) {
	t.Helper()
	Need(t, append([]string{"linux"}, names...)...)
}

// packages holds the Debian package of each program and header the helpers use.
var packages = map[string]string{
	"vde_switch":         "vde-switch",
	"vde_plug":           "vdeplug",
	"dpipe":              "vdeplug",
	"dnsmasq":            "dnsmasq-base",
	"radvd":              "radvd",
	"chromium":           "chromium",
	"wirefilter":         "vde-wirefilter",
	"unixcmd":            "vde2",
	"unixterm":           "vde2",
	"vdeterm":            "vde2",
	"libvdeplug.h":       "libvdeplug-dev",
	"gcc":                "gcc",
	"ip":                 "iproute2",
	"tcpdump":            "tcpdump",
	"qemu-system-x86_64": "qemu-system-x86",
	"socat":              "socat",
	"passt":              "passt",
	"iperf3":             "iperf3",
	"busybox":            "busybox-static",
}

// missing returns nil if name is present, and otherwise an error whose text is the remedy.
func missing(name string) error {
	install := "install it"
	if p, ok := packages[name]; ok {
		install = "Debian package " + p
	}
	switch {
	case name == "linux":
		if runtime.GOOS != "linux" {
			return errors.New("run the test on Linux")
		}
	case strings.HasPrefix(name, "CAP_"):
		ok, err := haveCapability(name)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("run the test as root")
		}
	case strings.HasPrefix(name, "/"):
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("provide the file: %w", err)
		}
		f.Close()
	case strings.HasSuffix(name, ".h"):
		if err := haveHeader(name); err != nil {
			return fmt.Errorf("%s: %w", install, err)
		}
	default:
		if _, err := lookPath(name); err != nil {
			return errors.New(install)
		}
	}
	return nil
}

// lookPath is like exec.LookPath, and also searches the directories that the PATH of an unprivileged user lacks.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || strings.ContainsRune(name, filepath.Separator) {
		return path, err
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, e := exec.LookPath(filepath.Join(dir, name)); e == nil {
			return path, nil
		}
	}
	return "", err
}

var headers sync.Map // name to func() error

func haveHeader(name string) error {
	f, _ := headers.LoadOrStore(name, sync.OnceValue(func() error {
		gcc, err := lookPath("gcc")
		if err != nil {
			return err
		}
		cmd := exec.Command(gcc, "-fsyntax-only", "-xc", "-")
		cmd.Stdin = strings.NewReader("#include <" + name + ">\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			first, _, _ := bytes.Cut(out, []byte("\n"))
			return fmt.Errorf("gcc: %s", first)
		}
		return nil
	}))
	return f.(func() error)()
}
