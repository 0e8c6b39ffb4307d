// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/udpio"
)

// An endpoint is a VXLAN port of this process, whose socket several links receive
// from: each that does so takes its own frames, and queues those of others.
type endpoint struct {
	key endpointKey
	fd  int

	mu       sync.Mutex
	receiver *udpio.Receiver
	tunnels  map[int]*tunnel // by network identifier
	groups   map[group]int   // how many tunnels have joined
	buffer   int             // the size of the receive buffer that was asked for
}

// An endpointKey says what a socket is bound to.
type endpointKey struct {
	namespace uint64 // network namespace
	ipv4      bool
	port      int
}

// A group is a multicast group on an interface.
type group struct {
	addr    [16]byte
	ifindex int
}

// endpoints are those of this process: what is sent to a port arrives at one socket,
// whichever link it is for.
var endpoints = struct {
	sync.Mutex
	open map[endpointKey]*endpoint
}{open: make(map[endpointKey]*endpoint)}

// join makes t one of the tunnels of its port.
func (t *tunnel) join() (err error) {
	endpoints.Lock()
	defer endpoints.Unlock()
	key := endpointKey{ipv4: t.remote.Is4(), port: t.Port}
	if key.namespace, err = namespace(); err != nil {
		return err
	}
	e := endpoints.open[key]
	if e == nil {
		if e, err = openEndpoint(key, t); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err = e.add(t); err != nil && len(e.tunnels) == 0 {
		unix.Close(e.fd)
		return err
	}
	if err == nil {
		endpoints.open[key] = e
	}
	return err
}

// openEndpoint opens the socket for a port.
func openEndpoint(key endpointKey, t *tunnel) (*endpoint, error) {
	fd, err := udpio.Socket(anyAddr(t.remote).WithPort(uint16(t.Port)), udpio.Options{Receive: true, TTL: -1, Buffer: t.Buffer, NoCheck6: true})
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("UDP port %d: %w (another process or the kernel has it: give another one with port=)", t.Port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("UDP port %d: %w", t.Port, err)
	}
	return &endpoint{
		key: key, fd: fd, receiver: udpio.NewReceiver(fd),
		tunnels: make(map[int]*tunnel), groups: make(map[group]int), buffer: t.Buffer,
	}, nil
}

// add adds t; e.mu is held.
func (e *endpoint) add(t *tunnel) error {
	if e.tunnels[t.VNI] != nil {
		return fmt.Errorf("vni %d on port %d: %w (another link of this process has it)", t.VNI, t.Port, unix.EADDRINUSE)
	}
	if t.remote.IsMulticast() {
		if err := e.joinGroup(t, t.follower.Index()); err != nil {
			hint := ""
			if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETUNREACH) {
				hint = " (there is no route to it: name an interface with if=)"
			}
			return fmt.Errorf("group %s: %w%s", t.remote.AddrPort().Addr(), err, hint)
		}
	}
	if t.Buffer > e.buffer {
		e.buffer = t.Buffer
		udpio.SetReceiveBuffer(e.fd, e.buffer)
	}
	e.tunnels[t.VNI], t.endpoint = t, e
	return nil
}

// joinGroup joins the group of t on an interface, or on that of the system's choice if
// index is 0; e.mu is held.
func (e *endpoint) joinGroup(t *tunnel, index int) error {
	if index == 0 {
		index = t.ifindex
	}
	g := group{t.remote.IP, index}
	if err := udpio.Join(e.fd, t.remote, index); err != nil && !(errors.Is(err, unix.EADDRINUSE) && e.groups[g] > 0) {
		return err
	}
	e.groups[g]++
	t.joined = &g
	return nil
}

// leaveGroup ends joinGroup; e.mu is held. Others may go on to need the membership: it
// is renewed for them, in case the kernel has ended it.
func (e *endpoint) leaveGroup(t *tunnel) {
	if t.joined == nil {
		return
	}
	g := *t.joined
	t.joined = nil
	udpio.Leave(e.fd, t.remote, g.ifindex)
	if e.groups[g]--; e.groups[g] == 0 {
		delete(e.groups, g)
	} else {
		_ = udpio.Join(e.fd, t.remote, g.ifindex) // their Followers know what to do without it
	}
}

// follow has t go on by another interface.
func (e *endpoint) follow(t *tunnel, index int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.remote.IsMulticast() {
		e.leaveGroup(t)
		if err := e.joinGroup(t, index); err != nil {
			return err
		}
	}
	if t.ifindex != 0 {
		for _, fd := range t.senders {
			if err := udpio.SendBy(fd, t.remote, index, !t.remote.IsMulticast()); err != nil {
				return err
			}
		}
		t.ifindex = index
	}
	t.Lock()
	defer t.Unlock()
	if t.remote.Scope != 0 {
		t.remote.Scope = uint32(index)
		t.unknown = udpio.NewPeer(t.remote)
	}
	t.table.Flush()
	return nil
}

// remove removes t, and closes the socket if that was the last. It returns how many
// frames were waiting for t.
func (e *endpoint) remove(t *tunnel) (unread int) {
	endpoints.Lock()
	defer endpoints.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	last := len(e.tunnels) == 1
	if last {
		_ = udpio.Refuse(e.fd) // so that the count is final
		unread = e.receiver.Count(t.isOwn)
	} else {
		for e.receiver.Pending() {
			if t.acceptOthers(e.receiver.Next()) {
				unread++
			}
		}
	}
	unread += t.queue.frames + t.placer.Pending()
	t.queue = queue{}
	delete(e.tunnels, t.VNI)
	e.leaveGroup(t)
	if last {
		delete(endpoints.open, e.key)
		unix.Close(e.fd)
	}
	return unread
}

// namespace returns the number of the network namespace that the calling thread is
// in.
func namespace() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		if cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
			return cookie, nil
		}
	}
	var st unix.Stat_t // before Linux 5.14
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: "/proc/thread-self/ns/net", Err: err}
	}
	return st.Ino, nil
}
