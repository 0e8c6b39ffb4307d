// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gvisor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/sharedmem"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// bufferSize returns the size of a piece of shared memory. A packet takes as many as
// it needs. A server pads what it sends to a multiple of it, acknowledgements too, so
// long packets are in up to five pieces.
func bufferSize(mtu int) uint32 {
	size := uint32(sharedmem.DefaultBufferSize)
	for int(size) < mtu/4 {
		size *= 2
	}
	return size
}

// dataName is the name of the file that holds packets.
const dataName = "data"

// queueFiles is how many descriptors a queue has.
const queueFiles = 5

// shareMemory makes what two sides of sharedmem share: a queue for each direction,
// with room for that many bytes. [sharedmem.NewQueuePair] makes queues of 1 MiB,
// which is less than a TCP window.
func shareMemory(room int64) (l Link, err error) {
	var files []*os.File
	for range 2 {
		var queue []*os.File
		queue, err = newQueue(room)
		files = append(files, queue...)
		if err != nil {
			break
		}
	}
	l = Link{Sender: files, Receiver: files}
	if err != nil {
		l.Close()
	}
	return l, err
}

// newQueue makes the descriptors of a queue, in the order of
// [sharedmem.QueueConfigFromFDs]. Those made before an error are returned with it.
func newQueue(room int64) (files []*os.File, err error) {
	memory := func(name string, size int64) {
		if err != nil {
			return
		}
		var fd int
		if fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC); err != nil {
			err = os.NewSyscallError("memfd_create", err)
			return
		}
		f := os.NewFile(uintptr(fd), name)
		files = append(files, f)
		err = f.Truncate(size)
	}
	memory(dataName, room)
	if err == nil {
		var event int
		if event, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
			return files, os.NewSyscallError("eventfd", err)
		}
		files = append(files, os.NewFile(uintptr(event), "event"))
	}
	for _, pipe := range []string{"transmit", "receive"} {
		memory(pipe, room/sharedmem.DefaultBufferSize*64) // a buffer needs less than 64 bytes in a pipe
		if err == nil {
			_, err = files[len(files)-1].WriteAt([]byte{7: 0x80}, 0) // the first slot is free
		}
	}
	memory("state", sharedmem.DefaultSharedDataSize)
	return files, err
}

// sharedEndpoint returns the client for the side that sends the stream, and the
// server for the other. Both leave checksums out.
func sharedEndpoint(side int, fds []int, mac tcpip.LinkAddress, mtu int) (stack.LinkEndpoint, error) {
	if len(fds) != 2*queueFiles {
		return nil, fmt.Errorf("%d descriptors for two queues of %d", len(fds), queueFiles)
	}
	toServer, err := sharedmem.QueueConfigFromFDs(fds[:queueFiles])
	if err != nil {
		return nil, err
	}
	toClient, err := sharedmem.QueueConfigFromFDs(fds[queueFiles:])
	if err != nil {
		return nil, err
	}
	opts := sharedmem.Options{
		MTU: uint32(mtu), BufferSize: bufferSize(mtu), LinkAddress: mac, TX: toServer, RX: toClient, PeerFD: -1,
		GSOMaxSize: gsoMaxSize, TXChecksumOffload: true, RXChecksumOffload: true,
	}
	if side == Sender {
		return sharedmem.New(opts)
	}
	return sharedmem.NewServerEndpoint(opts)
}
