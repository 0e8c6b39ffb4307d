// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A lab is a switch with its API on a unix socket.
type lab struct {
	t      *testing.T
	sw     *vswitch.Switch
	server *api.Server
	socket string
	client *api.Client
}

// newLab returns a lab that ends with the test.
func newLab(t *testing.T, c vswitch.Config, o api.Options, a api.Access) *lab {
	t.Helper()
	l := &lab{t: t, sw: vswitch.New(c), socket: filepath.Join(t.TempDir(), "api")}
	t.Cleanup(func() { l.sw.Close() })
	l.server = api.New(l.sw, o)
	t.Cleanup(func() { l.server.Close() })
	listener, err := vswitch.ListenSocket(l.socket, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.server.Serve(ctx, listener, a) }()
	stop := errors.New("the test is over")
	t.Cleanup(func() {
		cancel(stop)
		if err := <-served; !errors.Is(err, stop) {
			t.Errorf("Serve returned %v, want the cause of its context's end", err)
		}
	})
	if l.client, err = api.Dial(t.Context(), l.socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.client.Close() })
	return l
}

// attach returns a connection to a port of the switch.
func (l *lab) attach(opts ...vde.Option) *vde.Conn {
	l.t.Helper()
	c, err := l.sw.Attach(opts...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}
