// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"io"
	"log/syslog"
)

// daemonLog returns the system's log, or nothing where there is none.
func daemonLog() io.Writer {
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, compatName)
	if err != nil {
		return io.Discard
	}
	return w
}
