// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/go-vde/sdk/api/connlimit"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch"
)

// Options describe a [Server]. The zero Options work.
type Options struct {
	// Version is that of the program, and Dirs the control directories in which the
	// switch is served. They are only shown.
	Version string
	Dirs    []string

	// Reload reads the program's configuration again and returns what was changed, and
	// what would need a restart, a line for each (default: there is nothing to reload).
	// Calls do not overlap.
	Reload func(ctx context.Context) (changes []string, err error) `json:"-"`

	// MaxStreams bounds the streams of all clients together (default 64), of which a
	// quarter may be captures.
	MaxStreams int

	// MaxConns bounds the connections of each listener (default 256). One more closes the
	// one that has been without a request for the longest time, first of those that have had
	// none that was let in.
	MaxConns int

	// Timeout is how long a request may take to come and an answer, or each message of a
	// stream, to go (default 10 s). A client that takes longer is disconnected, and so is
	// one that has sent no request for three times as long.
	Timeout time.Duration

	// Logger gets connections that are refused and faults of handlers (default: nothing is
	// logged).
	Logger *slog.Logger `json:"-"`
}

// A durationText is a duration whose JSON form is text, as in "10s".
type durationText time.Duration

// MarshalText implements [encoding.TextMarshaler].
func (d durationText) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *durationText) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration, want for example 10s", b)
	}
	*d = durationText(parsed)
	return nil
}

// MarshalJSON writes the duration as text, as in "10s", and leaves out Reload and Logger.
func (o Options) MarshalJSON() ([]byte, error) {
	type plain Options
	return json.Marshal(struct {
		plain
		Timeout durationText
	}{plain(o), durationText(o.Timeout)})
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that b does not mention keep
// their value.
func (o *Options) UnmarshalJSON(b []byte) error {
	type plain Options
	v := struct {
		*plain
		Timeout *durationText
	}{(*plain)(o), (*durationText)(&o.Timeout)}
	return json.Unmarshal(b, &v)
}

// A Server answers the API of a switch. Its methods may be called from any goroutine.
type Server struct {
	sw      *vswitch.Switch
	options Options
	started time.Time

	history   *history
	sampler   *sampler
	busy      semaphore // of calls that copy a whole table
	pace      pacer     // of looks at the counters
	streams   limiter
	reloading sync.Mutex // held while Options.Reload is called

	defaultPort sync.Mutex // held while a call reads, changes and writes the default of ports

	closing context.Context // its end is that of all streams
	close   context.CancelCauseFunc
}

// New returns a server for sw. It keeps the last events of the switch from now on, in two
// goroutines, until Close.
func New(sw *vswitch.Switch, o Options) *Server {
	o.MaxStreams = cmp.Or(max(0, o.MaxStreams), 64)
	o.MaxConns = cmp.Or(max(0, o.MaxConns), 256)
	o.Timeout = cmp.Or(max(0, o.Timeout), 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		sw: sw, options: o, started: time.Now(),
		history: newHistory(sw), sampler: &sampler{sw: sw},
		busy:    make(semaphore, 2),
		streams: limiter{most: o.MaxStreams, mostCaptures: max(1, o.MaxStreams/4)},
	}
	s.closing, s.close = context.WithCancelCause(context.Background())
	return s
}

// Close ends all streams, Serve, and the server's watch on the switch, which goes on.
func (s *Server) Close() error {
	s.close(ErrClosed)
	s.history.close()
	return nil
}

// An Access says what the clients of one listener may do, and how they show that they may.
type Access struct {
	// ReadOnly refuses what changes the switch. Captures change nothing, but show what
	// others send; they are refused too.
	ReadOnly bool

	// Token, if not empty, has to come with each request, as "Authorization: Bearer TOKEN".
	// A listener that is not a unix socket must have one.
	Token string

	// Hosts are names by which a listener that is not a unix socket may be called, beside
	// localhost and numeric addresses. A browser that was led to another name by the owner of
	// that name gets nothing.
	Hosts []string

	// Page, if not nil, answers GET requests that are not about the API, without a token:
	// it must not show anything about the switch.
	Page http.Handler
}

// Handler returns the handler of the API for a, to be mounted at /. It takes what a says
// about hosts for requests from anywhere but unix sockets. Read and write time-outs are set
// for each request if the server's [http.ResponseWriter] can.
func (s *Server) Handler(a Access) http.Handler {
	server := connect.NewServer(s.guard(a))
	pb.RegisterSwitchServiceHandler(server, &service{s, a.ReadOnly})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server, connecthttp.WithCodecs(codecs()...), connecthttp.WithReadMaxBytes(maxRequest), connecthttp.WithCompressors())
	return s.gate(a, mux)
}

// errToken is returned by Serve for a listener that anybody could reach.
var errToken = errors.New("api: a listener that is not a unix socket needs a token")

// Serve answers requests on l until ctx ends or l fails, and returns why. It closes l and
// the connections.
func (s *Server) Serve(ctx context.Context, l net.Listener, a Access) error {
	defer l.Close()
	if l.Addr().Network() != "unix" && a.Token == "" {
		return errToken
	}
	server := &http.Server{
		Handler:           s.Handler(a),
		ReadHeaderTimeout: s.options.Timeout,
		WriteTimeout:      2 * s.options.Timeout, // of which the request may take one half; streams extend it
		IdleTimeout:       3 * s.options.Timeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	connlimit.New(s.options.MaxConns).Bound(server)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.closing, func() { cancel(ErrClosed) })()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		server.Close()
		close(stopped)
	})
	err := server.Serve(l)
	if !stop() {
		<-stopped
		return context.Cause(ctx)
	}
	return errors.Join(err, server.Close())
}
