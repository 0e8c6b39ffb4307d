// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tapio

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// Flags of TUNSETOFFLOAD: what the kernel may hand to a reader unfinished.
const (
	offloadChecksum = 0x01
	offloadTSO4     = 0x02
	offloadTSO6     = 0x04
	offloadUSO4     = 0x20
	offloadUSO6     = 0x40
)

// steps are the settings of TUNSETOFFLOAD that are tried in this order: kernels
// before Linux 6.2 have no USO, and those before 2.6.27 none of them.
var steps = []int{
	offloadChecksum | offloadTSO4 | offloadTSO6 | offloadUSO4 | offloadUSO6,
	offloadChecksum | offloadTSO4 | offloadTSO6,
	offloadChecksum,
	0,
}

// Requests are the ioctl requests on a descriptor that [Attach] makes. A test has
// some of them refused.
type Requests interface {
	// Features is TUNGETFEATURES.
	Features() (uint32, error)

	// SetInterface is TUNSETIFF. It returns the name that the interface has.
	SetInterface(name string, flags uint16) (string, error)

	// Interface is TUNGETIFF.
	Interface() (name string, flags uint16, err error)

	// SetOffload is TUNSETOFFLOAD.
	SetOffload(flags int) error

	// Set is a request whose argument is a pointer to an int: TUNSETVNETHDRSZ,
	// TUNSETVNETLE or TUNSETSNDBUF.
	Set(request uint, value int) error
}

// Options say what [Attach] asks for.
type Options struct {
	Name        string // of the interface; empty or a template such as tap%d: the kernel chooses
	MultiQueue  bool   // the descriptor is one of several queues
	WriteBuffer int    // how many bytes that were written may be under way (0: any number)
}

// A Device is what a descriptor has been attached to.
type Device struct {
	Name       string       // of the interface
	Headers    bool         // frames are behind virtio-net headers
	Offload    link.Offload // what the kernel takes from a writer
	MultiQueue bool         // the interface may have more queues
	Persistent bool         // the interface stays when the descriptor is closed
}

// Attach attaches the descriptor behind r to an interface, with virtio-net headers
// and offloads as far as the kernel has them. The error is bare.
func Attach(r Requests, o Options) (d Device, err error) {
	features, err := r.Features()
	d.Headers = err == nil && features&unix.IFF_VNET_HDR != 0
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if d.Headers {
		flags |= unix.IFF_VNET_HDR
	}
	if d.MultiQueue = o.MultiQueue; o.MultiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	d.Name, err = r.SetInterface(o.Name, flags)
	if errors.Is(err, unix.EINVAL) && !o.MultiQueue && o.Name != "" {
		// A persistent device that was made for several queues takes no other.
		if name, e := r.SetInterface(o.Name, flags|unix.IFF_MULTI_QUEUE); e == nil {
			d.Name, d.MultiQueue, err = name, true, nil
		}
	}
	if err != nil {
		return Device{}, err
	}
	if _, flags, err := r.Interface(); err == nil {
		d.Persistent = flags&unix.IFF_PERSIST != 0
	}
	if o.WriteBuffer > 0 {
		if err := r.Set(unix.TUNSETSNDBUF, o.WriteBuffer); err != nil {
			return Device{}, err
		}
	}
	return d, d.setHeaders(r)
}

// setHeaders sets the form of the virtio-net headers, and the offloads.
func (d *Device) setHeaders(r Requests) error {
	if !d.Headers {
		return nil
	}
	// A persistent device has the length that its last user set. A kernel without
	// the request knows no other length.
	if err := r.Set(unix.TUNSETVNETHDRSZ, frame.VNetHeaderLen); err != nil && d.Persistent {
		return err
	}
	_ = r.Set(unix.TUNSETVNETLE, 1) // only a big-endian machine has another order
	d.Offload = link.OffloadChecksum | link.OffloadTSO
	for _, flags := range steps {
		if r.SetOffload(flags) != nil {
			continue
		}
		if flags&offloadUSO4 != 0 {
			d.Offload |= link.OffloadUSO // a kernel that gives it takes it
		}
		break
	}
	return nil
}

// A FD is a descriptor as [Requests].
type FD int

// Features implements [Requests].
func (fd FD) Features() (uint32, error) {
	features, err := unix.IoctlGetUint32(int(fd), unix.TUNGETFEATURES)
	return features, os.NewSyscallError("TUNGETFEATURES", err)
}

// SetInterface implements [Requests].
func (fd FD) SetInterface(name string, flags uint16) (string, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return "", err
	}
	ifr.SetUint16(flags)
	err = unix.IoctlIfreq(int(fd), unix.TUNSETIFF, ifr)
	return ifr.Name(), os.NewSyscallError("TUNSETIFF", err)
}

// Interface implements [Requests].
func (fd FD) Interface() (name string, flags uint16, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	err = unix.IoctlIfreq(int(fd), unix.TUNGETIFF, ifr)
	return ifr.Name(), ifr.Uint16(), os.NewSyscallError("TUNGETIFF", err)
}

// SetOffload implements [Requests].
func (fd FD) SetOffload(flags int) error {
	return os.NewSyscallError("TUNSETOFFLOAD", unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, flags))
}

// Set implements [Requests].
func (fd FD) Set(request uint, value int) error {
	return os.NewSyscallError("ioctl", unix.IoctlSetPointerInt(int(fd), request, value))
}
