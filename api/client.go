// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/proto"

	pb "github.com/go-vde/sdk/api/switchv1"
)

// SocketName is the name of the API's socket in a control directory, by convention.
const SocketName = "api"

// maxAnswer bounds an answer that a Client takes.
const maxAnswer = 64 << 20

// A Client is a client of the API of one switch. The methods of the embedded interface are
// the calls of the API; their errors are *[connect.Error] with the codes that the schema
// documents. Its methods may be called from any goroutine.
//
// Close the streams that WatchStats, WatchEvents and Capture return, or end their contexts.
type Client struct {
	pb.SwitchServiceClient
	target    string
	transport *http.Transport
}

// Dial returns a client for the switch at target: the path of a unix socket, a control
// directory with the socket api in it, or a URL such as http://127.0.0.1:8080/#token=TOKEN,
// as the switch prints it. It fails if nothing answers there, or not as the API does.
func Dial(ctx context.Context, target string) (*Client, error) {
	c := &Client{target: target, transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4}}
	base, token, err := c.resolve(target)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	client := &http.Client{
		Transport:     &bearer{c.transport, token},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.SwitchServiceClient = pb.NewSwitchServiceClient(connect.NewClient(
		connecthttp.NewTransport(client, base, connecthttp.WithReadMaxBytes(maxAnswer), connecthttp.WithCompressors())))
	if _, err := c.ListMirrors(ctx, &pb.ListMirrorsRequest{}); err != nil {
		c.Close()
		return nil, fmt.Errorf("api: no switch answers at %s: %w", base+c.socket(), cause(err))
	}
	return c, nil
}

// cause returns what an error of a transport is about.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	return err
}

// resolve returns the base of URLs for target, and the token if it has one, and prepares
// the transport for a socket.
func (c *Client) resolve(target string) (base, token string, err error) {
	if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		u, err := url.Parse(target)
		if err != nil {
			var e *url.Error
			if errors.As(err, &e) {
				err = e.Err // e has the whole of it, with the token
			}
			return "", "", fmt.Errorf("not a URL: %w", err)
		}
		token, _ = strings.CutPrefix(u.Fragment, "token=")
		u.Fragment, u.RawQuery = "", ""
		return strings.TrimSuffix(u.String(), "/"), token, nil
	}
	path := target
	switch info, err := os.Stat(path); {
	case err != nil:
		return "", "", err
	case info.IsDir():
		path = filepath.Join(path, SocketName)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return "", "", fmt.Errorf("the switch in %s serves no API: there is no socket %s: %w", target, path, fs.ErrNotExist)
		}
	case info.Mode().Type() != fs.ModeSocket:
		return "", "", fmt.Errorf("%s is no socket and no directory", target)
	}
	c.target = path
	c.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return "http://localhost", "", nil
}

// socket returns the path of the socket for messages, if there is one.
func (c *Client) socket() string {
	if c.transport.DialContext == nil {
		return ""
	}
	return " (" + c.target + ")"
}

// Close closes the client's idle connections. Calls and streams that are under way go on.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// A bearer adds a token to requests.
type bearer struct {
	next  http.RoundTripper
	token string
}

// RoundTrip implements [http.RoundTripper].
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token == "" {
		return b.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// Ports returns all ports that r asks for, page by page. It ends at the first error.
func (c *Client) Ports(ctx context.Context, r *pb.ListPortsRequest) iter.Seq2[*pb.Port, error] {
	return func(yield func(*pb.Port, error) bool) {
		r := proto.CloneOf(r)
		for {
			page, err := c.ListPorts(ctx, r)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, p := range page.GetPorts() {
				if !yield(p, nil) {
					return
				}
			}
			if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
				return
			}
		}
	}
}

// FDB returns all entries of the forwarding database that r asks for, page by page. It ends
// at the first error.
func (c *Client) FDB(ctx context.Context, r *pb.ListFDBRequest) iter.Seq2[*pb.FDBEntry, error] {
	return func(yield func(*pb.FDBEntry, error) bool) {
		r := proto.CloneOf(r)
		for {
			page, err := c.ListFDB(ctx, r)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page.GetEntries() {
				if !yield(e, nil) {
					return
				}
			}
			if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
				return
			}
		}
	}
}
