// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import "context"

// Serve answers the VDE control protocol in directory dir until ctx ends or the
// switch is closed; it is [Switch.Listen] and [Listener.Serve]. It always
// returns an error that is not nil: the cause of ctx's end, or [ErrClosed], if
// nothing else went wrong. Several calls with different directories may run at
// once.
func (sw *Switch) Serve(ctx context.Context, dir string) error {
	l, err := sw.Listen(dir)
	if err != nil {
		return err
	}
	return l.Serve(ctx)
}
