// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Ports of the services of a [Guest], over TCP.
const (
	GuestSum  = 5001 // reads to the end and answers with the SHA-256 in hexadecimal, then "  -"
	GuestKeep = 5002 // reads to the end and keeps that, then answers "kept"
	GuestSend = 5003 // reads a line "HOST PORT", sends there what it keeps, then answers "sent"
)

// A GuestConfig describes a [Guest].
type GuestConfig struct {
	// Addr is the address of its network device, and the network.
	Addr netip.Prefix

	// Netdev is what QEMU joins it to: the option -netdev without its id, such as
	// "stream,server=off,addr.type=unix,addr.path=/run/s".
	Netdev string

	// Memory is how much it has, in MiB. What it keeps takes as much as it is long.
	Memory int
}

// A Guest is a virtual machine of QEMU with a kernel of Debian, one virtio-net device and
// the services above. Its processor is emulated: a transfer is many times slower than
// one of the host.
type Guest struct {
	*Process
}

// guestModules are the names of what the kernel needs for a virtio-net device, in the
// order in which they are loaded. scripts/peers.sh reads them from there, too.
//
//go:embed guest_modules.txt
var guestModules string

// guestInit is the first program of a guest. Its argument is the address.
const guestInit = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in %s; do insmod /$m.ko || echo "no module $m"; done
ip link set lo up
ip addr add %s dev eth0 && ip link set eth0 up || echo "no network device"
nc -ll -p %d -e sha256sum &
nc -ll -p %d -e /keep &
nc -ll -p %d -e /send &
for port in %[3]d %[4]d %[5]d; do
	until netstat -ltn | grep -q ":$port "; do :; done
done
echo "guest is up"
exec sleep 1000000
`

const (
	guestKeep = "#!/bin/busybox sh\ncat > /kept && echo kept\n"
	guestSend = "#!/bin/busybox sh\nread -r host port\nnc $host $port < /kept && echo sent\n"
)

// guestDir is where scripts/peers.sh puts the kernel and its modules.
func guestDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "go-vde", "guest")
	_, err = os.Stat(filepath.Join(dir, "vmlinuz"))
	return dir, err
}

// StartGuest starts a virtual machine and waits until its services listen. It is ended when the test ends.
func StartGuest(t testing.TB, cfg GuestConfig) *Guest {
	t.Helper()
	needRealPeers(t, "qemu-system-x86_64", "busybox")
	dir, err := guestDir()
	if err != nil {
		Skip(t, "a kernel for a guest: "+err.Error(), "run scripts/peers.sh")
	}
	initrd := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(initrd, guestFiles(t, dir, cfg.Addr), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &Guest{StartProcess(t, ProcessConfig{Args: []string{
		"qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-m", fmt.Sprint(cfg.Memory),
		"-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1",
		"-serial", "stdio", "-netdev", cfg.Netdev + ",id=n", "-device", "virtio-net-pci,netdev=n",
	}})}
	g.awaitUp(t)
	return g
}

// awaitUp waits until the guest has said that it is up. It has no other sign.
func (g *Guest) awaitUp(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(g.Log(), "guest is up") {
		select {
		case <-tick.C:
		case <-g.Done():
			t.Fatalf("the guest has ended: %v\n%s", g.Err(), g.Log())
		case <-ctx.Done():
			t.Fatalf("the guest does not come up\n%s", g.Log())
		}
	}
}

// guestFiles returns the file system of a guest, as an archive of the format "newc" of
// cpio(5), which the kernel unpacks.
func guestFiles(t testing.TB, dir string, addr netip.Prefix) []byte {
	t.Helper()
	path, err := lookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	add := func(name string, mode uint32, data []byte) {
		fmt.Fprintf(&archive, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
		archive.WriteString(name + "\x00")
		archive.Write(make([]byte, -archive.Len()&3))
		archive.Write(data)
		archive.Write(make([]byte, -archive.Len()&3))
	}
	addFile := func(name, from string) {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		add(name, 0o100755, data)
	}
	for _, name := range []string{"bin", "dev", "proc", "sys"} {
		add(name, 0o040755, nil)
	}
	addFile("bin/busybox", path)
	modules := strings.Fields(guestModules)
	for _, m := range modules {
		addFile(m+".ko", filepath.Join(dir, m+".ko"))
	}
	add("init", 0o100755, fmt.Appendf(nil, guestInit, strings.Join(modules, " "), addr, GuestSum, GuestKeep, GuestSend))
	add("keep", 0o100755, []byte(guestKeep))
	add("send", 0o100755, []byte(guestSend))
	add("TRAILER!!!", 0, nil)
	return archive.Bytes()
}
