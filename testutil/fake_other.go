// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package testutil

import (
	"errors"
	"io/fs"
	"net"
)

// The layout of the messages and the behaviour of the sockets are Linux's, so
// elsewhere NewFakeSwitch skips the test and nothing below is reached.
const fakeSupported = false

func fakeSocket() (*net.UnixConn, error)                { return nil, errors.ErrUnsupported }
func fakeConnect(*net.UnixConn, string) error           { return errors.ErrUnsupported }
func fakeBind(*net.UnixConn, string, fs.FileMode) error { return errors.ErrUnsupported }
func fakeSendTo(*net.UnixConn, []byte, string) error    { return errors.ErrUnsupported }
func fakeTryRecv(*net.UnixConn, []byte) (int, error)    { return 0, errors.ErrUnsupported }
func fakeIsFull(error) bool                             { return false }
func fakeIsConnected(error) bool                        { return false }
func fakeUnread(*net.UnixConn) (int, error)             { return 0, errors.ErrUnsupported }
func fakePeerCred(*net.UnixConn) (int, int, int, error) { return 0, 0, 0, errors.ErrUnsupported }
func fakeOwner(fs.FileInfo) (uid, gid int)              { return -1, -1 }
func fakeFillBacklog(*net.UnixListener) (func(), error) { return func() {}, errors.ErrUnsupported }
func fakeRestoreBacklog(*net.UnixListener) error        { return errors.ErrUnsupported }
