// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/jsonconf"
	"github.com/go-vde/sdk/vswitch"
)

// ErrInUse is returned by [Listen] for a path at which a program answers. It matches
// [vswitch.ErrInUse] and [syscall.EADDRINUSE].
var ErrInUse error = inUseError{}

type inUseError struct{}

func (inUseError) Error() string { return "another program serves this socket" }

func (inUseError) Is(target error) bool {
	return target == vswitch.ErrInUse || target == syscall.EADDRINUSE
}

// Defaults of [Options].
const (
	DefaultVersion      = "2.3.2" // the vde_switch whose answers a Server gives
	DefaultNotice       = "go-vde, with the console of vde_switch 2.3.2"
	DefaultMaxSessions  = 256
	DefaultWriteTimeout = time.Minute
	DefaultHashSize     = 128
	DefaultPriority     = 0x8000
)

// Options describe a [Server]. The zero Options work.
type Options struct {
	// Version is what the first line of a session says (default [DefaultVersion]), and
	// Notice the second one, where vde_switch has its copyright.
	Version, Notice string

	// MAC and Priority are what showinfo and fstp/showinfo show (default: a random
	// address, and [DefaultPriority]). The switch does not use them.
	MAC      frame.MAC
	Priority int

	// Dir and Mode are what ds/showinfo shows: the control directory, and the
	// permissions of its sockets (default 0600).
	Dir  string
	Mode fs.FileMode

	// HashSize is what hash/showinfo shows (default [DefaultHashSize]).
	HashSize int

	// Access holds the access lists of ports (default: port/setuser and port/setgroup
	// answer that there is no such command). Its Admit must be that of the switch.
	Access *Access `json:"-"`

	// Shutdown is called by the command shutdown, in a goroutine of its own (default:
	// there is no such command).
	Shutdown func() `json:"-"`

	// MaxSessions bounds the sessions of Serve together (default
	// [DefaultMaxSessions]). One more ends the oldest that has sent no command, or is
	// refused if there is none.
	MaxSessions int

	// WriteTimeout is how long a session may not read while there is something for it
	// (default [DefaultWriteTimeout]).
	WriteTimeout time.Duration

	// Logger gets the beginning and end of sessions, and what they change (default:
	// nothing is logged).
	Logger *slog.Logger `json:"-"`
}

// MarshalJSON writes the duration as text, as in "1m0s", and the permissions in octal. It
// leaves out Access, Shutdown and Logger.
func (o Options) MarshalJSON() ([]byte, error) {
	type plain Options
	return json.Marshal(struct {
		plain
		Mode         jsonconf.Mode
		WriteTimeout jsonconf.Duration
	}{plain(o), jsonconf.Mode(o.Mode), jsonconf.Duration(o.WriteTimeout)})
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that b does not mention keep
// their value.
func (o *Options) UnmarshalJSON(b []byte) error {
	type plain Options
	v := struct {
		*plain
		Mode         *jsonconf.Mode
		WriteTimeout *jsonconf.Duration
	}{(*plain)(o), (*jsonconf.Mode)(&o.Mode), (*jsonconf.Duration)(&o.WriteTimeout)}
	return json.Unmarshal(b, &v)
}

// A Server answers the commands of consoles. All methods may be called from any
// goroutine.
type Server struct {
	sw      *vswitch.Switch
	opts    Options
	started time.Time
	wait    time.Duration // of lineReaders, for tests

	mu       sync.Mutex
	state    state                 // guarded by mu
	sockets  []*Listener           // guarded by mu; those that are served
	sessions map[*session]struct{} // guarded by mu
}

// New returns a Server for sw, which should have no other one.
func New(sw *vswitch.Switch, opts Options) *Server {
	opts.Version = cmp.Or(opts.Version, DefaultVersion)
	opts.Notice = cmp.Or(opts.Notice, DefaultNotice)
	opts.Priority = cmp.Or(opts.Priority, DefaultPriority)
	opts.Mode = cmp.Or(opts.Mode, 0o600)
	opts.HashSize = roundSize(cmp.Or(max(opts.HashSize, 0), DefaultHashSize))
	opts.MaxSessions = cmp.Or(opts.MaxSessions, DefaultMaxSessions)
	opts.WriteTimeout = cmp.Or(opts.WriteTimeout, DefaultWriteTimeout)
	if opts.MAC == (frame.MAC{}) {
		opts.MAC = frame.MAC{0, 0xff, byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		sw: sw, opts: opts, started: time.Now(),
		state: newState(opts.HashSize), sessions: make(map[*session]struct{}),
	}
}

// Serve answers the sessions that l accepts until ctx ends; then it closes l, ends the
// sessions and waits for them. It always returns an error: the cause of ctx's end, or
// why l accepts nothing more. Several calls with different listeners may run at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() {
		cancel()
		l.Close()
		running.Wait()
	}()
	defer s.register(l)()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for pause := minPause; ; {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return context.Cause(ctx)
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// Most likely there are no descriptors left. There may be later.
			s.opts.Logger.Warn("cannot accept a console", "error", err)
			sleep(ctx, pause)
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		c, ok := s.admit(ctx, conn)
		if !ok {
			conn.Close()
			continue
		}
		running.Go(func() {
			defer s.forget(c)
			c.serve()
		})
	}
}

// How long Serve waits when it cannot accept.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// register has showinfo show the socket of l until the returned function is called.
func (s *Server) register(l net.Listener) (remove func()) {
	socket, ok := l.(*Listener)
	if !ok {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = append(s.sockets, socket)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, other := range s.sockets {
			if other == socket {
				s.sockets = append(s.sockets[:i:i], s.sockets[i+1:]...)
				return
			}
		}
	}
}

// admit makes a session of conn if there is room, or can be made.
func (s *Server) admit(ctx context.Context, conn net.Conn) (*session, bool) {
	c := newSession(ctx, s, conn, conn)
	c.conn = conn
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= s.opts.MaxSessions && !s.evict() {
		s.opts.Logger.Warn("refused a console: there are too many", "sessions", len(s.sessions))
		c.end()
		return nil, false
	}
	s.sessions[c] = struct{}{}
	return c, true
}

// evict ends the oldest session that has sent no command and reports whether there was
// one; s.mu is held.
func (s *Server) evict() bool {
	var oldest *session
	for c := range s.sessions {
		if c.conn != nil && !c.used.Load() && (oldest == nil || c.since.Before(oldest.since)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.sessions, oldest)
	oldest.end()
	return true
}

func (s *Server) forget(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
}

// Terminal answers the commands that come from in, on out, until in ends; then it
// returns nil. With prompts it writes one after each answer, as for a terminal; it
// writes no banner. What the commands logout does is to end the answer.
//
// When ctx ends it returns the cause, and one read of in may be left.
func (s *Server) Terminal(ctx context.Context, in io.Reader, out io.Writer, prompts bool) error {
	c := newSession(ctx, s, in, out)
	c.quiet, c.terminal = !prompts, true
	s.mu.Lock()
	s.sessions[c] = struct{}{}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.forget(c)
		c.serve()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run runs the commands in the file path, as the command load does, and discards their
// answers. A command that fails does not end it.
func (s *Server) Run(ctx context.Context, path string) error {
	c := newSession(ctx, s, nil, io.Discard)
	defer c.end()
	x := &executor{srv: s, sess: c}
	if status := x.load(path); status != OK {
		return &fs.PathError{Op: "load", Path: path, Err: fmt.Errorf("%v", status)}
	}
	return ctx.Err()
}

// uptime returns the seconds since New.
func (s *Server) uptime() int { return int(time.Since(s.started) / time.Second) }

// broadcast has all sessions that ask for events of kind k get one made of text, once
// note has been called for each; s.mu is held.
func (s *Server) broadcast(k eventKind, text string, note func(*session)) {
	for c := range s.sessions {
		if note != nil {
			note(c)
		}
		c.tell(k, text)
	}
}

var pid = os.Getpid()
