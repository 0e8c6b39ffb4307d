// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// What frames the answers of a console.
const (
	promptText  = "\nvde$ "
	dataHeader  = "0000 DATA END WITH '.'\n"
	goodbyeText = "9999 END OF SESSION"
)

// A session is one user of the console: who sends commands and gets answers and events.
type session struct {
	srv      *Server
	in       io.Reader
	out      io.Writer
	conn     net.Conn // in and out, nil for those of Terminal
	since    time.Time
	quiet    bool        // write no prompts
	terminal bool        // write no banner, and stay after logout
	used     atomic.Bool // it has sent a command

	ctx    context.Context // of the session
	cancel context.CancelFunc
	events subscriptions

	// writing has one element while an answer, or an event, is being written. So no event
	// comes inside an answer.
	writing chan struct{}
}

func newSession(ctx context.Context, s *Server, in io.Reader, out io.Writer) *session {
	c := &session{srv: s, in: in, out: out, since: time.Now(), writing: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.events.init()
	return c
}

// end ends the session.
func (c *session) end() {
	c.cancel()
	if c.conn != nil {
		c.conn.Close()
	}
}

// serve answers the commands of the session until it ends.
func (c *session) serve() {
	log := c.srv.opts.Logger
	log.Debug("console opened")
	defer log.Debug("console closed")
	defer c.events.wait()
	defer c.end()
	if c.conn != nil {
		// A read or write that waits ends with the session.
		defer context.AfterFunc(c.ctx, func() { c.conn.Close() })()
	}
	x := &executor{srv: c.srv, sess: c}
	if !c.terminal {
		x.printf("VDE switch V.%s\n%s\n", c.srv.opts.Version, c.srv.opts.Notice)
		x.prompt()
	}
	if x.finish() != nil {
		return
	}
	lines := lineReader{in: c.in, conn: c.conn, wait: c.srv.wait}
	for {
		line, err := lines.next()
		if err != nil || c.ctx.Err() != nil {
			return
		}
		c.used.Store(true)
		more := true
		if len(line) > maxLine {
			x.status(BadValue)
		} else {
			more = x.command(line)
		}
		if more {
			x.prompt()
		}
		if x.finish() != nil {
			return
		}
		if !more {
			c.linger()
			return
		}
	}
}

// lingerTimeout is how long a session may take to read the last answer.
const lingerTimeout = time.Second

// linger waits until the other side closes, for a while: unixterm, told at once that the
// connection is gone, does not read what came before.
func (c *session) linger() {
	conn, ok := c.conn.(*net.UnixConn)
	if !ok || conn.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20)) // and then it is closed, whatever comes
}

// lock begins to write, unless the session ends first.
func (c *session) lock() error {
	select {
	case c.writing <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

func (c *session) unlock() { <-c.writing }

// write writes b. A session that does not read for too long ends. lock has been called.
func (c *session) write(b []byte) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if c.conn != nil {
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.srv.opts.WriteTimeout)); err != nil {
			return err
		}
	}
	_, err := c.out.Write(b)
	if err != nil {
		c.end()
	}
	return err
}

// maxLine is the longest command in bytes. A path and the name of a command fit.
const maxLine = 4200

// vde_switch takes what one read returns for a command, and there are programs that send
// no end of a line, such as vdeterm. So what has no end is a command when nothing has
// followed for commandTimeout, or for beginningTimeout if it is the beginning of one.
const (
	commandTimeout   = 30 * time.Millisecond
	beginningTimeout = 5 * time.Second
)

// isBeginning reports whether line is no command yet and may become one.
func isBeginning(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	may := false
	for i := range commands {
		c := &commands[i]
		if c.run != nil && bytes.HasPrefix(line, []byte(c.name)) {
			return false
		}
		may = may || strings.HasPrefix(c.name, string(line))
	}
	return may
}

// A lineReader reads lines.
type lineReader struct {
	in   io.Reader
	conn net.Conn      // in, or nil if it knows no deadlines
	wait time.Duration // in place of the timeouts, if it is not 0
	buf  []byte        // read and not returned yet
	long bool          // buf is the beginning of a line that is too long
	err  error         // of in
}

// next returns the next line without its end. A line longer than maxLine is returned cut
// off, but longer than that. At the end of the input what is there is a line.
func (r *lineReader) next() (string, error) {
	for {
		if i := bytes.IndexByte(r.buf, '\n'); i >= 0 {
			return r.take(i, i+1), nil
		}
		if len(r.buf) > maxLine+1 {
			r.buf, r.long = r.buf[:maxLine+1], true
		}
		if r.err != nil {
			if len(r.buf) == 0 {
				return "", r.err
			}
			return r.take(len(r.buf), len(r.buf)), nil
		}
		if r.read() && len(r.buf) > 0 && !r.long {
			return r.take(len(r.buf), len(r.buf)), nil
		}
	}
}

// take returns the first n bytes and removes used.
func (r *lineReader) take(n, used int) string {
	line := string(r.buf[:n])
	r.buf = append(r.buf[:0], r.buf[used:]...)
	r.long = false
	return line
}

// read reads what there is, and reports whether nothing came that would end a line that
// has begun.
func (r *lineReader) read() (timeout bool) {
	if r.conn != nil {
		var deadline time.Time
		if len(r.buf) > 0 {
			wait := r.wait
			switch {
			case wait != 0:
			case isBeginning(r.buf):
				wait = beginningTimeout
			default:
				wait = commandTimeout
			}
			deadline = time.Now().Add(wait)
		}
		if r.err = r.conn.SetReadDeadline(deadline); r.err != nil {
			return false
		}
	}
	chunk := make([]byte, 512)
	n, err := r.in.Read(chunk)
	r.buf = append(r.buf, chunk[:n]...)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return true
	}
	r.err = err
	return false
}
