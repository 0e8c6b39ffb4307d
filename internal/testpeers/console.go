// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A ConsoleError is the refusal of a console command.
type ConsoleError struct {
	Command string
	Code    int // the switch's errno, such as 22 for a bad argument
	Text    string
}

func (e *ConsoleError) Error() string {
	return fmt.Sprintf("vde_switch console: %s: %s (%d)", e.Command, e.Text, e.Code)
}

// Unwrap returns the code as an errno.
func (e *ConsoleError) Unwrap() error { return syscall.Errno(e.Code) }

const (
	consolePrompt  = "vde$ "
	consoleData    = "0000 "
	consoleGoodbye = "9999 END OF SESSION"
	consoleMaxLine = 127 // the switch reads at most 128 bytes at once, and a full read harms it
)

// A console is a session with the management socket of a vde_switch. It lasts as long as the switch or the
// test: if vde_switch sees any connection close between a client's connect and its request, it may never notice
// that this client leaves, so a session per command would disturb the switch. The methods of a console may be
// called from any goroutine.
type console struct {
	conn net.Conn
	slot chan struct{} // full while a command is under way: the switch takes what one read returns as one command
	done chan struct{} // closed when the session has ended, after err is set
	err  error

	noEvents error // why there are no events, set before the console is shared

	mu      sync.Mutex
	reply   chan consoleAnswer // where the next answer goes; mu held
	changed chan struct{}      // closed and replaced at each event; mu held
}

type consoleAnswer struct {
	data   string
	status *ConsoleError // nil at the end of the session
}

// dialConsole opens a session and subscribes it to the events of ports.
func dialConsole(ctx context.Context, path string) (*console, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := &console{
		conn:    conn,
		slot:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		reply:   make(chan consoleAnswer, 1),
		changed: make(chan struct{}),
	}
	c.slot <- struct{}{} // until the switch has greeted
	go c.read()
	if _, err := c.command(ctx, "debug/add port"); err != nil {
		var refused *ConsoleError
		if !errors.As(err, &refused) {
			c.close()
			return nil, err
		}
		c.noEvents = fmt.Errorf("testpeers: this vde_switch tells no events: %w", err)
	}
	return c, nil
}

// close ends the session.
func (c *console) close() {
	c.conn.Close()
	<-c.done
}

var (
	consoleEvent  = regexp.MustCompile(`^3\d\d\d `)
	consoleStatus = regexp.MustCompile(`^1(\d\d\d) (.*)$`)
)

// read parses the switch's output until the session ends.
func (c *console) read() {
	defer close(c.done)
	p := consoleParser{c: c, buf: make([]byte, 64<<10)}
	if c.err = p.greeting(); c.err != nil {
		return
	}
	<-c.slot
	for c.err == nil {
		c.err = p.step()
	}
}

// A consoleParser turns the switch's output into answers and events.
type consoleParser struct {
	c      *console
	buf    []byte
	rest   string          // read and not yet parsed
	data   strings.Builder // of the answer that has begun
	inData bool            // up to a line with a dot alone
	status *ConsoleError   // of the answer that has begun, or nil
}

// more reads further output.
func (p *consoleParser) more() error {
	n, err := p.c.conn.Read(p.buf)
	p.rest += string(p.buf[:n])
	if n > 0 {
		return nil
	}
	return err
}

// greeting skips everything up to the first prompt.
func (p *consoleParser) greeting() error {
	for !strings.HasSuffix(p.rest, "\n"+consolePrompt) {
		if err := p.more(); err != nil {
			return fmt.Errorf("testpeers: no prompt after %q: %w", p.rest, err)
		}
	}
	p.rest = ""
	return nil
}

// step parses a prompt or a line, or reads if neither is complete.
func (p *consoleParser) step() error {
	line, after, whole := strings.Cut(p.rest, "\n")
	// A prompt ends the answer if a status has come. Events that follow it are on the same line.
	if !p.inData && strings.HasPrefix(line, consolePrompt) {
		if p.status != nil {
			p.c.answer(p.data.String(), p.status)
			p.data.Reset()
			p.status = nil
		}
		p.rest = p.rest[len(consolePrompt):]
		return nil
	}
	if whole {
		p.rest = after
		p.line(line)
		return nil
	}
	if !p.inData && p.rest == consoleGoodbye {
		p.c.answer(p.data.String(), nil)
	}
	if err := p.more(); err != nil {
		return fmt.Errorf("testpeers: the console has ended: %w", err)
	}
	return nil
}

// line parses one whole line.
func (p *consoleParser) line(line string) {
	switch {
	case p.inData && line == ".":
		p.inData = false
	case p.inData:
		p.data.WriteString(line)
		p.data.WriteByte('\n')
	case consoleEvent.MatchString(line):
		p.c.mu.Lock()
		close(p.c.changed)
		p.c.changed = make(chan struct{})
		p.c.mu.Unlock()
	case strings.HasPrefix(line, consoleData):
		p.inData = true
	default:
		if m := consoleStatus.FindStringSubmatch(line); m != nil {
			code, _ := strconv.Atoi(m[1])
			p.status = &ConsoleError{Code: code, Text: m[2]}
		}
	}
}

// answer delivers an answer and frees the slot for the next command.
func (c *console) answer(data string, status *ConsoleError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.slot:
		c.reply <- consoleAnswer{data, status} // has room: one reply channel per command
	default: // no command is under way
	}
}

// command sends one command and returns the data of its answer. If ctx ends first, the session remains in step:
// the next command waits for the late answer.
func (c *console) command(ctx context.Context, command string) (string, error) {
	// The switch answers an empty line or a comment with a prompt and no status.
	if text := strings.TrimLeft(command, " \t"); text == "" || text[0] == '#' ||
		len(command) >= consoleMaxLine || strings.ContainsAny(command, "\n\x00") {
		return "", fmt.Errorf("testpeers: not a console command: %q", command)
	}
	select {
	case c.slot <- struct{}{}:
	case <-c.done:
		return "", c.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	reply := make(chan consoleAnswer, 1)
	c.mu.Lock()
	c.reply = reply
	c.mu.Unlock()
	if _, err := io.WriteString(c.conn, command+"\n"); err != nil {
		return "", err
	}
	var a consoleAnswer
	select {
	case a = <-reply:
	case <-ctx.Done():
		return "", fmt.Errorf("testpeers: no answer to %q: %w", command, context.Cause(ctx))
	case <-c.done:
		select {
		case a = <-reply: // it came just before the end
		default:
			return "", fmt.Errorf("testpeers: no answer to %q: %w", command, c.err)
		}
	}
	if a.status != nil && a.status.Code != 0 {
		a.status.Command = command
		return a.data, a.status
	}
	return a.data, nil
}

// event returns a channel that is closed at the next event.
func (c *console) event() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

var (
	portLine     = regexp.MustCompile(`^Port (\d+) untagged_vlan=(\d+) (IN)?ACTIVE - (NOT )?Unnamed Allocatable$`)
	portUser     = regexp.MustCompile(`^ Current User: (\S+) Access Control: \(User: (\S+) - Group: (\S+)\)$`)
	portCounter  = regexp.MustCompile(`^ (IN|OUT): +pkts +(\d+) +bytes +(\d+)$`)
	portEndpoint = regexp.MustCompile(`^  -- endpoint ID (\d+) module (.{12,}?): ?(.*)$`)
	tableLine    = regexp.MustCompile(`^Hash: \d+ Addr: (\S+) VLAN (\d+) to port: (\d+) +age -?\d+ secs$`)
)

// parsePorts parses the answer to port/print. It skips lines that it does not know.
func parsePorts(text string) (ports []SwitchPort) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := portLine.FindStringSubmatch(line); m != nil {
			p := SwitchPort{Active: m[3] == "", Allocatable: m[4] == ""}
			p.Number, _ = strconv.Atoi(m[1])
			p.VLAN, _ = strconv.Atoi(m[2])
			ports = append(ports, p)
			continue
		}
		if len(ports) == 0 {
			continue
		}
		p := &ports[len(ports)-1]
		if m := portUser.FindStringSubmatch(line); m != nil {
			p.User, p.AllowUser, p.AllowGroup = m[1], m[2], m[3]
		} else if m := portCounter.FindStringSubmatch(line); m != nil {
			packets, _ := strconv.ParseUint(m[2], 10, 64)
			bytes, _ := strconv.ParseUint(m[3], 10, 64)
			if m[1] == "IN" {
				p.InPackets, p.InBytes = packets, bytes
			} else {
				p.OutPackets, p.OutBytes = packets, bytes
			}
		} else if m := portEndpoint.FindStringSubmatch(line); m != nil {
			id, _ := strconv.Atoi(m[1])
			p.Endpoints = append(p.Endpoints, SwitchEndpoint{ID: id, Module: strings.TrimRight(m[2], " "), Description: m[3]})
		}
	}
	return ports
}

// parseTable parses the answer to hash/print.
func parseTable(text string) (table []FDBEntry, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		m := tableLine.FindStringSubmatch(line)
		if m == nil {
			return table, fmt.Errorf("testpeers: not a line of the FDB: %q", line)
		}
		mac, err := net.ParseMAC(m[1])
		if err != nil || len(mac) != 6 {
			return table, fmt.Errorf("testpeers: no MAC in %q", line)
		}
		l := FDBEntry{MAC: [6]byte(mac)}
		l.VLAN, _ = strconv.Atoi(m[2])
		l.Port, _ = strconv.Atoi(m[3])
		table = append(table, l)
	}
	return table, nil
}
