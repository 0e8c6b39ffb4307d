// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"io/fs"
	"net"
)

// ListenSocket listens on the unix socket at path, for other protocols than VDE's beside a
// control directory: an API, a console. The socket has the mode (default 0600) and, if it
// is not empty, the group, from the moment at which it can be found. One that a program left
// behind is replaced; one at which somebody answers makes ListenSocket fail with
// [ErrInUse], and a file that is no socket with an error that matches [fs.ErrExist]. Other
// users who may write to the directory cannot have it change a file elsewhere.
//
// With a mode that lets only the owner in, connections of others than the owner and root
// are closed, whatever has become of the mode. Closing the listener removes the socket.
//
// It works on Linux.
func ListenSocket(path string, mode fs.FileMode, group string) (net.Listener, error) {
	return listenSocket(path, mode, group)
}
