// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/internal/tapio"
	"github.com/go-vde/sdk/link"
)

// devicePath is the file that tap devices are opened through. Only tests change it.
var devicePath = "/dev/net/tun"

func (d Driver) open(name string, s link.Settings) (link.Link, error) {
	// Before the interface exists, so that its removal is never missed.
	watch := tapio.NewWatch()
	fd, dev, err := d.attach(name, s)
	if err != nil {
		watch.Close()
		return nil, err
	}
	return tapio.New(fd, dev, "tap://"+dev.Name, watch)
}

// attach returns a descriptor that is attached to the interface.
func (d Driver) attach(name string, s link.Settings) (fd int, dev tapio.Device, err error) {
	fd, err = unix.Open(devicePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, dev, fileError(&os.PathError{Op: "open", Path: devicePath, Err: err})
	}
	dev, err = tapio.Attach(tapio.FD(fd), tapio.Options{Name: name, MultiQueue: d.MultiQueue, WriteBuffer: s.WriteBuffer})
	if err != nil {
		unix.Close(fd)
		return -1, dev, d.interfaceError(name, err)
	}
	return fd, dev, nil
}

// fileError adds what helps to a failure to open the device file.
func fileError(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: load the module with: modprobe tun (a container needs the file passed on to it)", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: permission to read and write the file is needed", err)
	}
	return err
}

// interfaceError says what failed on which interface, and what helps.
func (d Driver) interfaceError(name string, err error) error {
	what := "attach to interface " + strconv.Quote(name)
	if name == "" {
		name, what = "NAME", "make an interface"
	}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: %w: the capability CAP_NET_ADMIN is needed, or a device that root has made for this user: ip tuntap add dev %s mode tap user %s", what, err, name, account.UserName())
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: %w: another link or program has it", what, err)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("%s: %w: it has as many queues as are possible", what, err)
	case errors.Is(err, unix.EINVAL) && d.MultiQueue:
		return fmt.Errorf("%s: %w: no interface can have the name, or the one that has it is not a tap device with several queues (ip tuntap add dev %s mode tap multi_queue)", what, err, name)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: %w: no interface can have the name, or the one that has it is not a tap device", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
