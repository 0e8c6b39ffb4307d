// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package testpeers

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

func setCredential(_ *exec.Cmd, c *Credential) error {
	if c == nil {
		return nil
	}
	return errors.ErrUnsupported
}

func stopAndWait(*os.Process) error { return errors.ErrUnsupported }
func resume(*os.Process) error      { return errors.ErrUnsupported }

func haveCapability(string) (bool, error) { return false, errors.New("run the test on Linux") }

func waitListening(context.Context, int, ...string) error { return errors.ErrUnsupported }

type watcher struct{}

func watchDeleted(...string) (*watcher, error)       { return nil, errors.ErrUnsupported }
func (*watcher) close()                              {}
func joined(context.Context, *watcher, int) error    { return errors.ErrUnsupported }
func joinDirs(string) []string                       { return nil }
func recordPipe() (ours, theirs *os.File, err error) { return nil, nil, errors.ErrUnsupported }
