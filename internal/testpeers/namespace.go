// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A Namespace is a network namespace of one test. At first it contains only a loopback interface, which is up. It
// has no name in the file system: the kernel frees the namespace and its interfaces when the test has ended and no
// process uses it.
type Namespace struct {
	f *os.File // the namespace's file: the namespace exists while it is open
}

// NewNamespace makes a network namespace for the test. It needs root.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	needRealPeers(t, "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "ip")
	f, err := newNetNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	n := &Namespace{f: f}
	if _, err := n.Exec(context.Background(), "ip", "link", "set", "dev", "lo", "up"); err != nil {
		t.Fatal(err)
	}
	return n
}

// Do runs f on a thread inside the namespace and returns its result. Sockets that f makes stay in the
// namespace and may be used anywhere. Goroutines that f starts run outside, and so does a name lookup
// or a dial that races several addresses: dial literal addresses.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("testpeers: the function left its goroutine") // t.FailNow does that
		defer func() { done <- err }()
		err = enterNetNS(n.f, f)
	}()
	return <-done
}

// Exec runs a command inside the namespace and returns what it wrote to its standard output. Without a deadline
// in ctx it may take at most 30 seconds.
func (n *Namespace) Exec(ctx context.Context, command ...string) ([]byte, error) {
	path, err := lookPath(command[0])
	if err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var out, errs tail
	cmd := exec.CommandContext(ctx, path, command[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = limit
	if err = n.Do(cmd.Start); err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.buf, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.buf, nil
}

// Counter returns a counter of the kernel for the namespace under the name that nstat(8) has for it, such as
// "IcmpInDestUnreachs".
func (n *Namespace) Counter(t testing.TB, name string) (value uint64) {
	t.Helper()
	out, err := n.Exec(context.Background(), "nstat", "-asz", name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var found string
		if _, err := fmt.Sscan(line, &found, &value); err == nil && found == name {
			return value
		}
	}
	t.Fatalf("no counter %s in %q", name, out)
	return 0
}

// Path returns a name for the namespace, valid until the test ends, that programs like nsenter understand.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.f.Fd()) }
