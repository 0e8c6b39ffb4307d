// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package seqpacket_test

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTakenTwice opens a descriptor that another link has, which has ended but is not
// closed. A link that took it over would close at last what has got the number by then.
func TestTakenTwice(t *testing.T) {
	a, b := pair(t, unix.SOCK_SEQPACKET)
	text := fmt.Sprint("seqpacket://", a)
	l, err := open(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, text); !errors.Is(err, unix.EBUSY) {
		t.Errorf("of an open link: %v", err)
	}
	unix.Close(b)
	<-l.Done()
	second, err := open(t, text)
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("of a link that has ended: %v", err)
	}
	l.Close()
	var st, now unix.Stat_t
	other, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) // gets the number
	if err != nil || unix.Fstat(other, &st) != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if second != nil {
		second.Close()
	}
	if err := unix.Fstat(other, &now); err != nil || now.Ino != st.Ino {
		t.Errorf("the file that was opened since is closed: %v", err)
	}
	if other == a {
		if _, err := open(t, text); !errors.Is(err, unix.ENOTSOCK) {
			t.Errorf("the number is another's: %v", err)
		}
	}
}
