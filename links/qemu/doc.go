// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package qemu holds the drivers for the sockets with which virtual machines and
// user-mode networks carry Ethernet frames: QEMU's stream and dgram back ends and
// their relatives. Libvdeplug has none of them.
//
//	c, err := vde.Open(ctx, "stream:///run/vm.sock[server]") // wait for a QEMU with
//	// -netdev stream,id=n,addr.type=unix,addr.path=/run/vm.sock
//
// The schemes, and what is at the other end:
//
//	stream    4-byte big-endian length and frame: QEMU -netdev stream and socket,
//	          passt, socket_vmnet, Lima, libkrun (unixstream), gvproxy -listen-qemu
//	hyperkit  2-byte little-endian length and frame: hyperkit, VPNKit and gvproxy
//	          -listen-vpnkit, behind a handshake (vpnkit)
//	bess      one SOCK_SEQPACKET packet a frame: user-mode Linux, gvproxy -listen-bess
//	dgram     one unix datagram a frame: QEMU -netdev dgram, vfkit, libkrun (unixgram)
//
// The first three have locators of one form,
//
//	scheme://ADDRESS[server/reconnect=SECONDS/mode=OCTAL/group=NAME]
//
// ADDRESS is the path of a unix socket or, for stream and hyperkit, HOST:PORT; an IPv6
// address stands in brackets: stream://[::1]:9000. What contains a slash
// or no colon is a path. Without parameters Open connects, and the link ends with the
// connection. With reconnect the link is down until it can connect and connects again
// when the connection has ended, with pauses of up to so many seconds (5 without a
// value). With server it listens, and is down until a peer connects and between one
// peer and the next. There is one peer at a time; further connections are closed.
// mode (0700) and group are those of the socket's file, which is removed at Close. A
// file that a dead process has left is replaced. A path that begins with @ is an abstract
// name, which is no file: a server at one admits those processes that could use a file
// with the same mode and group, and closes the connections of others; of the groups of a
// process the effective one counts.
//
// With superframes, which stream and hyperkit know besides, the peer may send TCP
// segments longer than the MTU, 1500 or superframes=MTU, and partial checksums, without
// a header that says so, as libkrun does if its guest has offloads. They are recognised
// by their length and their checksum, and passed on with metadata or finished. Without
// the parameter frames are what they are. What is sent is always finished.
//
// With vpnkit, which hyperkit knows besides, a connection begins with the handshake of
// VPNKit, version 22: as a client, hyperkit://PATH[vpnkit] speaks as hyperkit does, to
// VPNKit or gvproxy; as a server, hyperkit://PATH[server/vpnkit] as VPNKit does. A client
// tells the UUID of its virtual machine, vpnkit=UUID, or a random one that stays the
// same while the link is open. A server gives each machine a MAC address, and may send
// to no other: [Driver] OnVPNKit tells which. Ours is made of the UUID, so it stays the
// same too. An IPv4 address that a client asks for is not looked at.
//
// The locators of dgram are
//
//	dgram://LOCAL->REMOTE   both names are given, as to QEMU
//	dgram://REMOTE[vfkit]   connect as vfkit does; with vfkit, begin with its datagram
//	dgram://LOCAL[server]   the peer is who sends first, and the next when it has gone
//
// and take mode and group as well. The datagrams of a QEMU whose addresses are of type
// inet are those of udp://, package udp. A remote name that begins with @ is abstract.
// LOCAL is a file, because the kernel does not tell who has sent a datagram to a name
// without permissions. A datagram of the four bytes VFKT, which vfkit
// sends first, is not a frame and is left out. A datagram socket is not told that its
// peer has gone: that is found out at the next send, or within a second. Meanwhile
// frames wait, or fail with [link.ErrDown] if they must not wait.
//
// A stream whose length cannot be ends with a reason that says so; the limit is
// QEMU's, 69632 bytes. Frames longer than Settings.MaxFrameSize are left to the
// receiver, who counts them.
//
// The source is docs/sockets.md. The drivers work on Linux; elsewhere Open returns
// an error that matches [errors.ErrUnsupported].
package qemu
