// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package sockfile makes, changes and removes the files of AF_UNIX sockets in
// directories that other users may write to.
//
// Between two system calls that name the same path, such a user can put something
// else in its place: a symbolic link to a file of the caller's, say, which a chmod
// by path would then change. So a directory is opened once and names are looked up
// in it, and owner and mode are changed through a descriptor of the very file that
// the socket is bound to.
package sockfile
