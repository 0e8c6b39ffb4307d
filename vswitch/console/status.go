// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import "fmt"

// A Status is the outcome of a command: 0 for success, or an error number of Linux.
type Status int

// The outcomes of commands.
const (
	OK         Status = 0
	NoEntry    Status = 2  // ENOENT: no such file, plugin or kind of event
	NoObject   Status = 6  // ENXIO: no such port, VLAN or endpoint
	NoMemory   Status = 12 // ENOMEM
	Exists     Status = 17 // EEXIST
	NoDevice   Status = 19 // ENODEV: the address is not in the FDB
	BadValue   Status = 22 // EINVAL
	NoSpace    Status = 28 // ENOSPC: no free port
	NoCommand  Status = 38 // ENOSYS: there is no such command
	TooDeep    Status = 40 // ELOOP: scripts that load scripts, too many
	InUse      Status = 98 // EADDRINUSE
	noStatus   Status = -1 // the answer has no line about the outcome
	endSession Status = -2 // after the answer the session ends
)

// What the C library of Debian says about an error number.
var statusTexts = map[Status]string{
	OK:        "Success",
	NoEntry:   "No such file or directory",
	NoObject:  "No such device or address",
	NoMemory:  "Cannot allocate memory",
	Exists:    "File exists",
	NoDevice:  "No such device",
	BadValue:  "Invalid argument",
	NoSpace:   "No space left on device",
	NoCommand: "Function not implemented",
	TooDeep:   "Too many levels of symbolic links",
	InUse:     "Address already in use",
}

// String returns the text of the C library, such as "File exists".
func (s Status) String() string {
	if text, ok := statusTexts[s]; ok {
		return text
	}
	return fmt.Sprintf("Unknown error %d", int(s))
}
