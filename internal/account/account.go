// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package account looks up the system's users and groups.
package account

import (
	"errors"
	"os"
	"os/user"
	"strconv"
)

// NoGroup stands for no group where a number is expected; chown leaves the group
// of a file as it is.
const NoGroup = -1

// An unknownGroup is a [user.UnknownGroupError] whose text does not repeat the name,
// which callers put into theirs.
type unknownGroup struct{ error }

// Error returns the text.
func (unknownGroup) Error() string { return "there is no such group" }

// Unwrap returns the error of package user.
func (e unknownGroup) Unwrap() error { return e.error }

// GroupID returns the number of a group given by name or in decimal, and NoGroup
// for the empty string. The error, which does not say the name, matches
// [user.UnknownGroupError] with [errors.As] if there is no such group.
func GroupID(name string) (int, error) {
	if name == "" {
		return NoGroup, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		if n, e := strconv.ParseUint(name, 10, 31); e == nil {
			return int(n), nil
		}
		if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
			err = unknownGroup{err}
		}
		return NoGroup, err
	}
	return strconv.Atoi(g.Gid)
}

// UserName returns the name of the user that this process runs as, or the number
// if there is no name.
func UserName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}
