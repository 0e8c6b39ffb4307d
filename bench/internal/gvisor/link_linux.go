// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gvisor

import (
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A Kind is a way to join two stacks with link endpoints of gVisor.
type Kind struct {
	Name      string
	Queue     bool // gVisor's queueing discipline in front of the endpoint
	Unbounded bool // a send buffer that holds the windows of all connections
	GRO       bool // segments are merged on receipt
	VNet      bool // GSO packets, without checksums, behind a virtio-net header
	Shared    bool // sharedmem in place of fdbased
}

// Kinds are the ways that are compared.
var Kinds = []Kind{
	{Name: "fdbased"},
	{Name: "fdbased-fifo", Queue: true},
	{Name: "fdbased-buffered", Unbounded: true, GRO: true},
	{Name: "fdbased-vnet", Unbounded: true, VNet: true},
	{Name: "sharedmem", Unbounded: true, Shared: true},
}

// KindOf returns the kind of that name.
func KindOf(name string) (Kind, error) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, fmt.Errorf("there is no kind %q of endpoint", name)
	}
	return Kinds[i], nil
}

// The sides of a link. Those of sharedmem differ: its client segments as fdbased
// does, its server does not. So the side that sends the stream is the client.
const (
	Sender   = 0
	Receiver = 1
)

// A Link is the descriptors of the two sides, [Sender] and [Receiver].
type Link [2][]*os.File

// Files returns how many descriptors a side has.
func (k Kind) Files() int {
	if k.Shared {
		return 2 * queueFiles
	}
	return 1
}

// window is more than what a connection of a Host has in flight at most, 4 MiB,
// with what the kernel or sharedmem adds to each packet.
const window = 8 << 20

// Join opens a link for that many connections. It needs CAP_NET_ADMIN to exceed the
// kernel's limit of a send buffer, and fails with [os.ErrPermission] without.
func (k Kind) Join(connections int) (l Link, err error) {
	room := connections * window
	if k.Shared {
		return shareMemory(int64(room))
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return l, os.NewSyscallError("socketpair", err)
	}
	for i, fd := range fds {
		l[i] = []*os.File{os.NewFile(uintptr(fd), "socket")}
		if !k.Unbounded {
			continue
		}
		if e := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, room); e != nil {
			err = os.NewSyscallError("setsockopt", e)
		}
	}
	if err != nil {
		l.Close()
	}
	return l, err
}

// Close closes the descriptors, and frees the memory of packets. The endpoints have
// copies of the descriptors; what they receive from then on is zeros.
func (l Link) Close() {
	for _, f := range slices.Concat(l[Sender], l[Receiver]) {
		if size, err := f.Seek(0, io.SeekEnd); err == nil && f.Name() == dataName {
			_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, size)
		}
		f.Close()
	}
}

// Endpoint returns an endpoint of one side of a link. It keeps copies of the
// descriptors until the process ends.
func (k Kind) Endpoint(side int, files []*os.File, mtu int) (stack.LinkEndpoint, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			// File.Fd makes descriptors wait.
			err = unix.SetNonblock(fd, true)
		}
		if err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		fds[i] = fd
	}
	mac := tcpip.LinkAddress([]byte{2, 0, 0, 0, 0, byte(side + 1)})
	if k.Shared {
		return sharedEndpoint(side, fds, mac, mtu)
	}
	return fdbased.New(&fdbased.Options{
		FDs: fds, MTU: uint32(mtu), EthernetHeader: true, Address: mac,
		GSOMaxSize: gsoMaxSize, GVisorGSOEnabled: !k.VNet, GRO: k.GRO,
		TXChecksumOffload: k.VNet, RXChecksumOffload: k.VNet,
		PacketDispatchMode: fdbased.RecvMMsg, ProcessorsPerChannel: 1,
	})
}

// gsoMaxSize is how long a packet is that is segmented below TCP, as in a Host.
const gsoMaxSize = 65536
