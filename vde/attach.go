// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/internal/wire"
)

func init() { link.Attach = attach }

// attach makes a Conn of a link that package vswitch made.
func attach(name string, opts any, open func(link.Settings) (link.Link, error)) (link.Attached, error) {
	cfg, err := newConfig(opts.([]Option))
	if err != nil {
		return link.Attached{}, err
	}
	if cfg.reconnect != nil {
		return link.Attached{}, fmt.Errorf("WithReconnect on an in-process port: %w: it ends with its switch for good", errors.ErrUnsupported)
	}
	l, err := open(link.Settings{
		Description:  cfg.fullDescription(),
		Port:         wire.Port(cfg.port),
		MaxFrameSize: cfg.maxFrame,
		WriteBuffer:  cfg.writeBuffer,
	})
	if err != nil {
		return link.Attached{}, err
	}
	c := newConn(context.Background(), l, name, &cfg)
	return link.Attached{Conn: c, End: c.end}, nil
}
