// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap

// SetDevicePath sets the file that devices are opened through, until restore is
// called.
func SetDevicePath(path string) (restore func()) {
	old := devicePath
	devicePath = path
	return func() { devicePath = old }
}
