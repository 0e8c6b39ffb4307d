// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tapio

import (
	"strings"

	"github.com/go-vde/sdk/vnl"
)

// MaxName is the length in bytes of the longest name of an interface.
const MaxName = 15

// CheckName returns why name cannot be that of an interface, or nil. The error
// matches [syscall.EINVAL].
func CheckName(name string) error {
	switch {
	case len(name) > MaxName:
		return vnl.Errorf("interface name %q has %d bytes, more than the %d that the kernel allows", name, len(name), MaxName)
	case name == ".", name == "..", strings.ContainsAny(name, "/:\x00 \t\n\v\f\r"):
		return vnl.Errorf("%q cannot be the name of an interface", name)
	}
	return nil
}
