// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package macvtap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/tapio"
	"github.com/go-vde/sdk/link"
)

func (d Driver) open(name string, s link.Settings) (link.Link, error) {
	// Before the interface is looked up, so that its removal is never missed.
	watch := tapio.NewWatch()
	fd, dev, err := d.attach(name, s)
	if err != nil {
		watch.Close()
		return nil, err
	}
	return tapio.New(fd, dev, "macvtap://"+name, watch)
}

// attach returns a descriptor of the interface.
func (d Driver) attach(name string, s link.Settings) (fd int, dev tapio.Device, err error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return -1, dev, fmt.Errorf("interface %q: there is none of the name in this network namespace: %w", name, unix.ENODEV)
	}
	path := filepath.Join(cmp.Or(d.Dir, "/dev"), "tap"+strconv.Itoa(ifi.Index))
	fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, dev, fileError(ifi, &os.PathError{Op: "open", Path: path, Err: err})
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			err = fmt.Errorf("attach to interface %q: %w", name, err)
		}
	}()
	dev, err = tapio.Attach(tapio.FD(fd), tapio.Options{WriteBuffer: s.WriteBuffer})
	if err != nil {
		return -1, dev, err
	}
	// The file has the number of the interface for its name, and the interface of
	// another namespace may have that number too.
	found, _, err := tapio.FD(fd).Interface()
	if err == nil && (found != name || !sameAddress(fd, ifi)) {
		err = fmt.Errorf("%s belongs to another interface, %q of another network namespace: %w", path, found, unix.ENODEV)
	}
	dev.Name, dev.Persistent = name, true
	return fd, dev, err
}

// sameAddress reports whether the interface of fd has the Ethernet address of ifi.
func sameAddress(fd int, ifi *net.Interface) bool {
	addr, err := tapio.FD(fd).HardwareAddr()
	return err != nil || bytes.Equal(addr, ifi.HardwareAddr)
}

// fileError adds what helps to a failure to open the device file of ifi.
func fileError(ifi *net.Interface, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("interface %q: %w: either it is not one of macvtap (ip link add link LOWER name NAME type macvtap), or the file is to be made with mknod, with the numbers in /sys/class/net/%s/tap%d/dev", ifi.Name, err, ifi.Name, ifi.Index)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("interface %q: %w: permission to read and write the file is needed, which root can give", ifi.Name, err)
	}
	return fmt.Errorf("interface %q: %w", ifi.Name, err)
}
