// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// A parser makes answers and events of what a switch sends
// (docs/spec/vde-switch-mgmt.md, section 7).
type parser struct {
	conn net.Conn
	buf  []byte // for one read
	rest []byte // read and not parsed

	inData  bool
	size    int      // of the answer's data
	data    []string // of the answer that has begun
	status  Status   // of the answer that has begun
	text    string
	settled bool // a status has come
}

const linePrompt = "vde$ "

// more reads further text.
func (p *parser) more() error {
	if len(p.rest) > maxTextLine {
		return fmt.Errorf("%w: a line of more than %d bytes", ErrOutOfStep, maxTextLine)
	}
	n, err := p.conn.Read(p.buf)
	p.rest = append(p.rest, p.buf[:n]...)
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// banner returns what comes before the first prompt.
func (p *parser) banner() (string, error) {
	for {
		if i := bytes.Index(p.rest, []byte(promptText)); i >= 0 {
			text := string(p.rest[:i])
			p.rest = append(p.rest[:0], p.rest[i+len(promptText):]...)
			if !strings.HasPrefix(text, "VDE switch V.") {
				return "", errors.New("not the console of a switch")
			}
			return text, nil
		}
		if len(p.rest) > 4096 {
			return "", errors.New("not the console of a switch")
		}
		if err := p.more(); err != nil {
			return "", err
		}
	}
}

// step parses a prompt or a line, or reads if neither is complete.
func (p *parser) step(c *Client) error {
	// A prompt ends the answer if a status has come. Events may follow on its line.
	if !p.inData && bytes.HasPrefix(p.rest, []byte(linePrompt)) {
		p.rest = append(p.rest[:0], p.rest[len(linePrompt):]...)
		return p.prompt(c)
	}
	if !p.inData && bytes.HasPrefix(p.rest, []byte(goodbyeText)) {
		return io.EOF
	}
	i := bytes.IndexByte(p.rest, '\n')
	if i < 0 {
		return p.more()
	}
	line := string(p.rest[:i])
	p.rest = append(p.rest[:0], p.rest[i+1:]...)
	return p.line(c, line)
}

// prompt handles a prompt.
func (p *parser) prompt(c *Client) error {
	if !p.settled {
		return nil
	}
	r := reply{p.data, p.status, p.text}
	p.data, p.size, p.settled = nil, 0, false
	if !c.answer(r) {
		return fmt.Errorf("%w: an answer that was not asked for", ErrOutOfStep)
	}
	return nil
}

// line handles a line outside or inside data.
func (p *parser) line(c *Client, line string) error {
	code, text := splitCode(line)
	switch {
	case p.inData && line == ".":
		p.inData = false
	case p.inData:
		return p.add(line)
	case line == "":
	case code >= 3000 && code <= 3999:
		path, text, _ := strings.Cut(text, " ")
		c.addEvent(Event{code, path, text})
	case !c.expects():
		return fmt.Errorf("%w: %.80q was not asked for", ErrOutOfStep, line)
	case code == 0 && strings.HasPrefix(text, "DATA END"):
		p.inData = true
	case code >= 1000 && code <= 1999:
		p.status, p.text, p.settled = Status(code-1000), text, true
	default: // what load says of its commands
		return p.add(line)
	}
	return nil
}

// add adds a line to the data.
func (p *parser) add(line string) error {
	if p.size += len(line) + 16; p.size > maxAnswer {
		return fmt.Errorf("%w: an answer of more than %d bytes", ErrOutOfStep, maxAnswer)
	}
	p.data = append(p.data, line)
	return nil
}

// splitCode returns the four digits that line begins with, or -1, and what follows.
func splitCode(line string) (code int, text string) {
	if len(line) < 5 || line[4] != ' ' {
		return -1, line
	}
	n, err := strconv.ParseUint(line[:4], 10, 16)
	if err != nil {
		return -1, line
	}
	return int(n), line[5:]
}
