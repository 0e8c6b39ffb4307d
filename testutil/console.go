// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
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

// A console is one session with the management socket of a vde_switch. It is for one goroutine.
type console struct {
	conn   net.Conn
	rest   string // read and not yet consumed
	events int    // events seen
}

func dialConsole(ctx context.Context, path string) (*console, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := &console{conn: conn}
	defer deadlineOnDone(ctx, conn)()
	for !strings.HasSuffix(c.rest, "\n"+consolePrompt) {
		if err := c.more(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("testutil: no prompt from %s after %q: %w", path, c.rest, err)
		}
	}
	c.rest = ""
	return c, nil
}

func (c *console) close() { c.conn.Close() }

// more reads once. The caller has tied ctx to the read deadline.
func (c *console) more(ctx context.Context) error {
	buf := make([]byte, 64<<10)
	n, err := c.conn.Read(buf)
	c.rest += string(buf[:n])
	if n > 0 {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// line takes the next whole line off what has been read.
func (c *console) line() (string, bool) {
	line, rest, ok := strings.Cut(c.rest, "\n")
	if !ok {
		return "", false
	}
	c.rest = rest
	// An event between two commands follows the prompt on the same line.
	return strings.TrimPrefix(line, consolePrompt), true
}

var (
	consoleEvent  = regexp.MustCompile(`^3\d\d\d `)
	consoleStatus = regexp.MustCompile(`^1(\d\d\d) (.*)$`)
)

// command sends one command and reads to the prompt that ends its answer.
func (c *console) command(ctx context.Context, command string) (string, error) {
	// An empty line or a comment gets a prompt and no status.
	if text := strings.TrimLeft(command, " \t"); text == "" || text[0] == '#' ||
		len(command) >= consoleMaxLine || strings.ContainsAny(command, "\n\x00") {
		return "", fmt.Errorf("testutil: not a console command: %q", command)
	}
	// The switch takes what one read gives it as one command: one write.
	if _, err := io.WriteString(c.conn, command+"\n"); err != nil {
		return "", err
	}
	defer deadlineOnDone(ctx, c.conn)()
	var data strings.Builder
	var status *ConsoleError
	inData := false
	for {
		line, ok := c.line()
		switch {
		case !ok && !inData && status != nil && c.rest == consolePrompt:
			if status.Code != 0 {
				return data.String(), status
			}
			return data.String(), nil
		case !ok && !inData && c.rest == consoleGoodbye:
			return data.String(), nil
		case !ok:
			if err := c.more(ctx); err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return data.String(), fmt.Errorf("testutil: answer to %q cut off: %w", command, err)
			}
		case inData && line == ".":
			inData = false
		case inData:
			data.WriteString(line)
			data.WriteByte('\n')
		case consoleEvent.MatchString(line):
			c.events++
		case strings.HasPrefix(line, consoleData):
			inData = true
		default:
			if m := consoleStatus.FindStringSubmatch(line); m != nil {
				code, _ := strconv.Atoi(m[1])
				status = &ConsoleError{Command: command, Code: code, Text: m[2]}
			}
		}
	}
}

// waitEvent waits until an event has come since events was last set to 0.
func (c *console) waitEvent(ctx context.Context) error {
	defer deadlineOnDone(ctx, c.conn)()
	for c.events == 0 {
		line, ok := c.line()
		switch {
		case !ok:
			if err := c.more(ctx); err != nil {
				return err
			}
		case consoleEvent.MatchString(line):
			c.events++
		}
	}
	return nil
}

var (
	portLine     = regexp.MustCompile(`^Port (\d+) untagged_vlan=(\d+) (IN)?ACTIVE - (NOT )?Unnamed Allocatable$`)
	portUser     = regexp.MustCompile(`^ Current User: (\S+) Access Control: \(User: (\S+) - Group: (\S+)\)$`)
	portCounter  = regexp.MustCompile(`^ (IN|OUT): +pkts +(\d+) +bytes +(\d+)$`)
	portEndpoint = regexp.MustCompile(`^  -- endpoint ID (\d+) module (.{12,}?): ?(.*)$`)
	tableLine    = regexp.MustCompile(`^Hash: \d+ Addr: (\S+) VLAN (\d+) to port: (\d+) +age -?\d+ secs$`)
)

// parsePorts reads the answer to port/print. What it does not know it passes over.
func parsePorts(text string) (ports []Port) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := portLine.FindStringSubmatch(line); m != nil {
			p := Port{Active: m[3] == "", Allocatable: m[4] == ""}
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
			p.Endpoints = append(p.Endpoints, Endpoint{ID: id, Module: strings.TrimRight(m[2], " "), Description: m[3]})
		}
	}
	return ports
}

// parseTable reads the answer to hash/print.
func parseTable(text string) (table []Learned, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		m := tableLine.FindStringSubmatch(line)
		if m == nil {
			return table, fmt.Errorf("testutil: not a line of the learning table: %q", line)
		}
		mac, err := net.ParseMAC(m[1])
		if err != nil || len(mac) != 6 {
			return table, fmt.Errorf("testutil: no MAC in %q", line)
		}
		l := Learned{MAC: [6]byte(mac)}
		l.VLAN, _ = strconv.Atoi(m[2])
		l.Port, _ = strconv.Atoi(m[3])
		table = append(table, l)
	}
	return table, nil
}
