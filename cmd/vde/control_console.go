// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/vswitch/console"
)

// dialEither connects to the API of the switch that args or the flag names or, if that is
// the path of its socket, to a management console. One of both clients is nil.
func (o *controlOption) dialEither(ctx context.Context, args []string) (*api.Client, *console.Client, error) {
	target, err := o.target(args)
	if err != nil {
		return nil, nil, err
	}
	if info, err := os.Stat(target); err == nil && info.Mode().Type() == os.ModeSocket {
		isAPI, err := speaksHTTP(ctx, target)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", target, err)
		}
		if !isAPI {
			c, err := console.Dial(ctx, target)
			if err != nil {
				err = fmt.Errorf("%s is neither the socket of an API nor that of a console: %w (for a switch of vde switch, give its control directory)", target, err)
			}
			return nil, c, err
		}
	}
	c, err := dialAPI(ctx, target)
	return c, nil, err
}

// consoleError says that a command needs what a console does not offer.
func consoleError(path string) error {
	return fmt.Errorf("%s is the socket of a console, which vde ports, vde fdb and vde events can ask; for the rest, give the control directory of a switch of vde switch, or send the console a command with unixcmd -s %s", path, path)
}

// firstAnswer is how long what answers at a socket may take for its first bytes.
const firstAnswer = 10 * time.Second

// speaksHTTP reports whether what answers at a unix socket does so as HTTP servers do. What
// it sends is a comment to a console, and to a server a request that is malformed.
func speaksHTTP(ctx context.Context, path string) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, firstAnswer, errors.New("nothing answers there"))
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = conn.Write([]byte("# vde\n\n")) // if that fails, there is no answer either
	proto := []byte("HTTP/")
	first := make([]byte, len(proto))
	if _, err := io.ReadFull(conn, first); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return false, fmt.Errorf("neither an API nor a console: %w", err)
	}
	return bytes.Equal(first, proto), nil
}
