// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"encoding/binary"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Follower tells a link by which network interface to go on when the one that it uses
// was removed and made again, or when the system's route to its group has moved to
// another one. A socket keeps the number of an interface that is no more, and the kernel
// ends the memberships in groups with it.
//
// It asks the network namespace of the thread that it was made by, whichever thread it
// runs on. It is not told of routes unless it needs them, and an interface without
// changes costs nothing.
type Follower struct {
	events *os.File // a netlink socket: something has changed
	raw    syscall.RawConn
	ask    int    // a netlink socket to ask what is now
	name   string // of the interface; empty: that of the route to the group
	group  Addr
	index  int // of the interface in use; 0: none
	use    func(index int) error

	buf     [4096]byte
	closing chan struct{}
	running sync.WaitGroup
}

const (
	// followPause is how long a Follower rests after it has looked: routes may change
	// all the time.
	followPause = 100 * time.Millisecond

	// followRetry is when a Follower tries again to use an interface that it could not.
	followRetry = 250 * time.Millisecond
)

// NewFollower returns a Follower of the interface with the given number or, if that is
// 0, of that by which the system sends to group. It returns nil if the system does not
// allow that, or if there is none: then a link keeps what it has.
func NewFollower(group Addr, index int) *Follower {
	f := &Follower{group: group, index: index, ask: -1, closing: make(chan struct{})}
	groups := uint32(unix.RTMGRP_LINK)
	if index == 0 {
		groups |= unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE
	}
	events, err := netlink(groups)
	if err == nil {
		f.events = os.NewFile(uintptr(events), "netlink")
		if f.raw, err = f.events.SyscallConn(); err == nil {
			f.ask, err = netlink(0)
		}
	}
	if err == nil {
		if index == 0 {
			f.index = f.current()
		} else {
			f.name = f.nameOf(index)
		}
	}
	if err != nil || f.index == 0 || index != 0 && f.name == "" {
		f.release()
		return nil
	}
	return f
}

// netlink returns a socket for the messages of the given groups of rtnetlink.
func netlink(groups uint32) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Index returns the number of the interface to use at first. That of a nil Follower is 0.
func (f *Follower) Index() int {
	if f == nil {
		return 0
	}
	return f.index
}

// Start has use called with the number of another interface, by one goroutine, until
// Close. If use fails, it is called again later. A nil Follower does nothing.
func (f *Follower) Start(use func(index int) error) {
	if f != nil {
		f.use = use
		f.running.Go(f.run)
	}
}

// Close ends the calls of use and waits for the last. It is idempotent. That of a nil
// Follower does nothing.
func (f *Follower) Close() {
	if f == nil || f.ask < 0 {
		return
	}
	close(f.closing)
	f.release()
}

func (f *Follower) release() {
	if f.events != nil {
		f.events.Close()
	}
	f.running.Wait()
	if f.ask >= 0 {
		unix.Close(f.ask)
	}
	f.ask = -1
}

func (f *Follower) run() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for retry := false; ; {
		removed, err := f.wait(retry)
		if err != nil {
			return
		}
		if removed {
			f.index = 0
		}
		retry = f.look() != nil
		pause.Reset(followPause)
		select {
		case <-pause.C:
		case <-f.closing:
			return
		}
	}
}

// look has the interface used that there is now, if that is another one.
func (f *Follower) look() (err error) {
	switch now := f.current(); {
	case now == 0:
		f.index = 0 // the next one may have the same number
	case now != f.index:
		if err = f.use(now); err == nil {
			f.index = now
		}
	}
	return err
}

// wait waits for a change, or until it is time to try again. It reports whether the
// interface in use was removed. After Close it fails.
func (f *Follower) wait(retry bool) (removed bool, err error) {
	var until time.Time
	if retry {
		until = time.Now().Add(followRetry)
	}
	if err = f.events.SetReadDeadline(until); err != nil {
		return false, err
	}
	err = f.raw.Read(func(fd uintptr) bool {
		for any := false; ; any = true {
			n, _, err := unix.Recvfrom(int(fd), f.buf[:], unix.MSG_DONTWAIT)
			switch {
			case err == nil:
				removed = removed || removes(f.buf[:n], f.index)
			case err == unix.ENOBUFS:
				// Messages were lost. With routes they are too many to conclude anything.
				removed = removed || f.name != ""
			case err != unix.EINTR:
				return any || err != unix.EAGAIN
			}
		}
	})
	if retry && os.IsTimeout(err) {
		err = nil
	}
	return removed, err
}

// removes reports whether a message of rtnetlink says that an interface was removed, from
// this network namespace at least. A bridge says in the same words that it is no port of
// it any more, with an address family.
func removes(msg []byte, index int) bool {
	const header = unix.SizeofNlMsghdr
	return len(msg) >= header+unix.SizeofIfInfomsg && binary.NativeEndian.Uint16(msg[4:]) == unix.RTM_DELLINK &&
		msg[header] == unix.AF_UNSPEC && binary.NativeEndian.Uint32(msg[header+4:]) == uint32(index)
}

// current returns the number of the interface to use, or 0 if there is none.
func (f *Follower) current() int {
	if f.name == "" {
		return f.route()
	}
	r, err := unix.NewIfreq(f.name)
	if err != nil || unix.IoctlIfreq(f.ask, unix.SIOCGIFINDEX, r) != nil {
		return 0
	}
	return int(r.Uint32())
}

// nameOf returns the name of an interface, or nothing.
func (f *Follower) nameOf(index int) string {
	r, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	r.SetUint32(uint32(index))
	if unix.IoctlIfreq(f.ask, unix.SIOCGIFNAME, r) != nil {
		return ""
	}
	return r.Name()
}

// route returns the number of the interface by which the system sends to the group, or 0.
func (f *Follower) route() int {
	family, ip := byte(unix.AF_INET6), f.group.IP[:]
	if f.group.Is4() {
		family, ip = unix.AF_INET, f.group.IP[12:]
	}
	size := unix.SizeofNlMsghdr + unix.SizeofRtMsg + unix.SizeofRtAttr + len(ip)
	b := make([]byte, unix.SizeofNlMsghdr, 1024)
	binary.NativeEndian.PutUint32(b, uint32(size))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	b = append(b, family, byte(8*len(ip)), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(ip)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_DST)
	b = append(b, ip...)
	if unix.Sendto(f.ask, b, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return 0
	}
	b = b[:cap(b)]
	n, _, err := unix.Recvfrom(f.ask, b, unix.MSG_DONTWAIT) // the kernel has answered already
	if err != nil {
		return 0
	}
	return outputInterface(b[:n])
}

// outputInterface returns the number of the interface in an answer about a route, or 0.
func outputInterface(msg []byte) int {
	const header = unix.SizeofNlMsghdr + unix.SizeofRtMsg
	if len(msg) < header || binary.NativeEndian.Uint16(msg[4:]) != unix.RTM_NEWROUTE {
		return 0
	}
	for b := msg[header:]; len(b) >= unix.SizeofRtAttr; {
		n := int(binary.NativeEndian.Uint16(b))
		switch {
		case n < unix.SizeofRtAttr || n > len(b):
			return 0
		case binary.NativeEndian.Uint16(b[2:]) == unix.RTA_OIF && n == unix.SizeofRtAttr+4:
			return int(binary.NativeEndian.Uint32(b[unix.SizeofRtAttr:]))
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return 0
}
