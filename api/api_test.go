// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/testutil"
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
	l := &lab{t: t, sw: vswitch.New(c), socket: filepath.Join(testutil.ShortDir(t), "api")}
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
		if err := <-served; !errors.Is(err, stop) && !errors.Is(err, api.ErrClosed) {
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

// post calls a procedure as curl does, with headers besides, and returns the status and the
// body.
func (l *lab) post(name, body string, header http.Header) (status int, answer string) {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, "http://localhost/vde.switch.v1.SwitchService/"+name, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		r.Header[k] = v
		if k == "Host" {
			r.Host = v[0]
		}
	}
	return l.do(r)
}

// do sends a request to the socket, on a connection of its own.
func (l *lab) do(r *http.Request) (status int, answer string) {
	l.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.socket)
	}}
	defer transport.CloseIdleConnections()
	answered, err := transport.RoundTrip(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer answered.Body.Close()
	b, err := io.ReadAll(answered.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return answered.StatusCode, string(b)
}
