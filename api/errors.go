// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"

	"github.com/go-vde/sdk/vswitch"
)

// invalid returns the error for a request that cannot be meant.
func invalid(format string, args ...any) error {
	return connect.Errorf(connect.CodeInvalidArgument, format, args...)
}

// failure returns err, from a method of the switch, with its code. An error without a
// meaning of its own says that an argument is not possible.
func failure(err error) error {
	if err == nil {
		return nil
	}
	code := connect.CodeInvalidArgument
	switch {
	case errors.Is(err, vswitch.ErrClosed):
		code = connect.CodeUnavailable
	case errors.Is(err, vswitch.ErrNoPort):
		code = connect.CodeNotFound
	case errors.Is(err, vswitch.ErrPortInUse):
		code = connect.CodeFailedPrecondition
	}
	return connect.NewError(code, text(err.Error())).WithCause(err)
}

// ended returns the error of a stream whose context has ended.
func ended(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrClosed):
		return connect.NewError(connect.CodeUnavailable, "the server of the API is closing")
	case errors.Is(cause, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, "the time that the client gave is over")
	default:
		return connect.NewError(connect.CodeCanceled, "the client has ended the request")
	}
}

// ErrClosed is returned by [Server.Serve] after [Server.Close].
var ErrClosed = errors.New("api: server closed")
