// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package openfiles

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// startPoller has the runtime open the descriptors of its poller, which it does when
// it first needs them.
var startPoller = sync.OnceFunc(func() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
})

// Open returns the descriptors that are open now.
func Open() Set {
	startPoller()
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	s := make(Set)
	for _, e := range entries {
		var stat unix.Stat_t
		fd, _ := strconv.Atoi(e.Name())
		what, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil || unix.Fstat(fd, &stat) != nil { // it was ReadDir's own
			continue
		}
		s[File{what, fd, stat.Dev, stat.Ino}] = true
	}
	return s
}
