// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Errors of a [Client].
var (
	// ErrClosed is in errors of a client whose session has ended.
	ErrClosed = errors.New("console closed")

	// ErrOutOfStep is in errors about a session in which answers can no longer be told
	// apart: an answer did not come to its end, or more came than was asked for. The
	// client has closed it.
	ErrOutOfStep = errors.New("console out of step")
)

// Bounds of a [Client].
const (
	// DefaultTimeout is how long an answer may take if the context has no deadline.
	DefaultTimeout = 30 * time.Second

	maxCommand   = 126      // vde_switch reads at most 128 bytes at a time, and a full read harms it
	maxAnswer    = 64 << 20 // bytes of an answer
	maxTextLine  = 1 << 20  // bytes of a line
	clientEvents = 4096     // events that wait for NextEvent
	eventBytes   = 2 << 20  // bytes of these events, of which the last may have more alone
)

// A CommandError is the refusal of a command.
type CommandError struct {
	Command string
	Status  Status
	Text    string // as the switch has it
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("console: %s: %s (%d)", e.Command, e.Text, int(e.Status))
}

// Is reports whether target is the Status of e.
func (e *CommandError) Is(target error) bool {
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Error makes a Status an error, for errors.Is.
func (s Status) Error() string { return s.String() }

// A Client is a session with the console of a switch, of this SDK or vde_switch. Its
// methods may be called from any goroutine; commands wait for one another.
type Client struct {
	// Version is what the switch says in its banner, such as "2.3.2".
	Version string

	conn net.Conn
	slot chan struct{} // has one element while a command is under way
	done chan struct{} // closed when the session has ended, after err is set
	err  error

	mu     sync.Mutex
	reply  chan reply    // guarded by mu; where the answer goes, nil if none is expected
	events []Event       // guarded by mu; not taken yet
	bytes  int           // guarded by mu; of events
	lost   uint64        // guarded by mu; events that there was no room for
	news   chan struct{} // has one element if something was added to events
}

// A reply is the answer to a command.
type reply struct {
	data   []string
	status Status
	text   string
}

// An Event is something that a switch tells of after debug/add.
type Event struct {
	Code int    // four digits, such as 3021; the last three are the tag in octal digits
	Path string // such as "port/+"
	Text string
}

// Dial opens a session with the console at path, a unix socket. ctx bounds that only.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return NewClient(ctx, conn)
}

// NewClient opens a session on conn, which it owns from then on.
func NewClient(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{
		conn: conn, slot: make(chan struct{}, 1), done: make(chan struct{}),
		news: make(chan struct{}, 1),
	}
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	p := parser{conn: conn, buf: make([]byte, 32<<10)}
	banner, err := p.banner()
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	stop()
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("console: no banner: %w", err)
	}
	_, version, _ := strings.Cut(banner, "V.")
	c.Version, _, _ = strings.Cut(version, "\n")
	go c.read(&p)
	return c, nil
}

// withTimeout returns ctx with a deadline.
func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// Close ends the session.
func (c *Client) Close() error {
	c.conn.Close()
	<-c.done
	return nil
}

// Command runs a command and returns the lines of data of its answer. A refusal is a
// [*CommandError], which matches its [Status] by errors.Is. If the answer does not come
// before the end of ctx, or in [DefaultTimeout] if that has no deadline, the session is
// closed, because what comes later could not be told from other answers.
//
// The command must have no line break and at most 126 bytes, must not be a comment, and
// should not be logout.
func (c *Client) Command(ctx context.Context, command string) ([]string, error) {
	trimmed := strings.TrimLeft(command, " \t")
	if len(command) > maxCommand || strings.ContainsAny(command, "\n\x00") || trimmed == "" || trimmed[0] == '#' {
		return nil, &CommandError{command, BadValue, "not a command of one line"}
	}
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	select {
	case c.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.done:
		return nil, c.err
	}
	defer func() { <-c.slot }()
	select {
	case <-c.done:
		return nil, c.err
	default:
	}
	answer := make(chan reply, 1)
	c.expect(answer)
	c.conn.SetWriteDeadline(deadline(ctx)) // Write says whether it has failed
	stop := context.AfterFunc(ctx, func() { c.conn.SetWriteDeadline(time.Unix(1, 0)) })
	_, err := c.conn.Write([]byte(command + "\n"))
	stop()
	if err != nil {
		return nil, c.fail(ctx, fmt.Errorf("%w: %w", ErrClosed, err))
	}
	select {
	case r := <-answer:
		return r.result(command)
	case <-c.done:
		select {
		case r := <-answer: // and then it ended
			return r.result(command)
		default:
		}
		return nil, c.err
	case <-ctx.Done():
		return nil, c.fail(ctx, fmt.Errorf("%w: no answer to %q", ErrOutOfStep, command))
	}
}

// result returns what Command returns for r.
func (r *reply) result(command string) ([]string, error) {
	if r.status != OK {
		return r.data, &CommandError{command, r.status, r.text}
	}
	return r.data, nil
}

func deadline(ctx context.Context) time.Time {
	t, _ := ctx.Deadline()
	return t
}

// fail ends the session and returns why.
func (c *Client) fail(ctx context.Context, err error) error {
	c.Close()
	if ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	return err
}

func (c *Client) expect(answer chan reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = answer
}

// Subscribe has the switch tell of the events whose path begins with prefix. To get
// them, call NextEvent.
func (c *Client) Subscribe(ctx context.Context, prefix string) error {
	_, err := c.Command(ctx, strings.TrimSpace("debug/add "+prefix))
	if errors.Is(err, Exists) {
		return nil
	}
	return err
}

// NextEvent returns the next event, and waits for it until ctx ends. When thousands, or
// megabytes, have come that nobody took, the oldest are lost, and an event with the path debug/lost says
// how many.
func (c *Client) NextEvent(ctx context.Context) (Event, error) {
	for {
		c.mu.Lock()
		if n := c.lost; n > 0 {
			c.lost = 0
			c.mu.Unlock()
			return Event{3000, "debug/lost", fmt.Sprint(n)}, nil
		}
		if len(c.events) > 0 {
			e := c.takeEvent()
			if len(c.events) > 0 {
				c.signal()
			}
			c.mu.Unlock()
			return e, nil
		}
		c.mu.Unlock()
		select {
		case <-c.news:
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		case <-c.done:
			c.mu.Lock()
			left := len(c.events) > 0
			c.mu.Unlock()
			if !left {
				return Event{}, c.err
			}
		}
	}
}

func (c *Client) signal() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// addEvent queues e.
func (c *Client) addEvent(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.events) == clientEvents || len(c.events) > 0 && c.bytes+e.size() > eventBytes {
		c.takeEvent()
		c.lost++
	}
	c.events = append(c.events, e)
	c.bytes += e.size()
	c.signal()
}

// takeEvent takes the oldest event; mu is held.
func (c *Client) takeEvent() Event {
	e := c.events[0]
	c.events[0] = Event{} // or its text would stay as long as those that follow
	c.events = c.events[1:]
	c.bytes -= e.size()
	return e
}

// size returns how long the text of e is in memory: Path is a part of the same line.
func (e *Event) size() int { return len(e.Path) + len(e.Text) }

// read handles what comes until the session ends.
func (c *Client) read(p *parser) {
	defer close(c.done)
	defer c.conn.Close()
	for {
		if err := p.step(c); err != nil {
			if errors.Is(err, ErrOutOfStep) {
				c.err = err
			} else {
				c.err = fmt.Errorf("%w: %w", ErrClosed, err)
			}
			return
		}
	}
}

// answer hands r to who waits for it, and reports whether anybody does.
func (c *Client) answer(r reply) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reply == nil {
		return false
	}
	c.reply <- r
	c.reply = nil
	return true
}

// expects reports whether a command is under way.
func (c *Client) expects() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reply != nil
}
