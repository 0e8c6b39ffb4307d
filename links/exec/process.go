// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/go-vde/sdk/internal/vdestream"
)

const (
	// quitGrace is how long a command may take to end when its standard input
	// ends, termGrace when it gets SIGTERM after that, and killGrace at SIGKILL,
	// which only a command that the kernel cannot end exceeds.
	quitGrace = 500 * time.Millisecond
	termGrace = time.Second
	killGrace = time.Second

	// exitGrace is how long the exit status is waited for after the end of the
	// standard output, and wordsGrace the end of the standard error after that.
	exitGrace  = time.Second
	wordsGrace = 250 * time.Millisecond
)

// A process is a command with pipes to its standard streams. Its Read, Write and
// Close are those of a connection, which Close ends.
type process struct {
	cmd     *exec.Cmd
	group   bool // it has a process group of its own
	in, out *os.File
	words   *lastWords

	waiting sync.Once
	exited  chan struct{} // closed when the command has ended; it may not be reaped yet
	reading sync.Once
	read    chan struct{} // closed when nothing more is read from out

	mu     sync.Mutex
	reaped bool  // guarded by mu; the process id may be another's
	status error // how it ended; written before reaped is set
}

var (
	_ io.ReadWriteCloser  = (*process)(nil)
	_ vdestream.Explainer = (*process)(nil)
)

// start starts the command that words name.
func (d Driver) start(words []string) (*process, error) {
	p := &process{cmd: exec.Command(words[0], words[1:]...), group: !d.Foreground && groups,
		words: newLastWords(), exited: make(chan struct{}), read: make(chan struct{})}
	var theirs []*os.File // the ends of the command
	defer func() { closeAll(theirs...) }()
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err != nil {
			err = fmt.Errorf("command %q: %w", words[0], err)
		}
		return r, w, err
	}
	in, ours, err := pipe()
	if err != nil {
		return nil, err
	}
	theirs, p.in = append(theirs, in), ours
	ours, out, err := pipe()
	if err != nil {
		closeAll(p.in)
		return nil, err
	}
	theirs, p.out = append(theirs, out), ours
	errs, stderr := (*os.File)(nil), d.Stderr
	if stderr == nil {
		if errs, stderr, err = pipe(); err != nil {
			closeAll(p.in, p.out)
			return nil, err
		}
		theirs = append(theirs, stderr)
	}
	setPipeSize(p.in, cmp.Or(d.PipeSize, defaultPipeSize))
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, stderr
	setGroup(p.cmd, p.group)
	if err := p.cmd.Start(); err != nil {
		closeAll(p.in, p.out, errs)
		return nil, startError(words[0], err)
	}
	p.words.follow(errs)
	return p, nil
}

// startError returns err, of starting the command called name, with the name.
func startError(name string, err error) error {
	switch err.(type) {
	case *exec.Error, *fs.PathError: // have it
		return fmt.Errorf("start the command: %w", err)
	}
	return fmt.Errorf("start the command %q: %w", name, err)
}

// closeAll closes files, some of which may be nil.
func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// Read reads from the standard output of the command.
func (p *process) Read(b []byte) (n int, err error) {
	if n, err = p.out.Read(b); err != nil {
		p.stopReading()
	}
	return n, err
}

// Write writes to the standard input of the command.
func (p *process) Write(b []byte) (int, error) { return p.in.Write(b) }

// An endError says how a command has ended. It matches [io.EOF].
type endError struct {
	text string
	err  error // what the stream ended with
	exit error // of the command, or nil
}

// Error implements error.
func (e *endError) Error() string { return e.text }

// Unwrap returns what the error is about.
func (e *endError) Unwrap() []error {
	if e.exit == nil {
		return []error{e.err}
	}
	return []error{e.err, e.exit}
}

// Explain implements [vdestream.Explainer]. It is called when nothing more is read,
// or nothing more can be written.
func (p *process) Explain(err error) error {
	cut := errors.Is(err, io.ErrUnexpectedEOF)
	if !cut && err != io.EOF {
		if errors.Is(err, vdestream.ErrLength) {
			p.stopReading()
		}
		return fmt.Errorf("command %q: %w", p.cmd.Args[0], err)
	}
	p.await()
	e := &endError{text: fmt.Sprintf("command %q closed its standard output", p.cmd.Args[0]), err: err}
	if within(exitGrace, p.exited) {
		e.exit = p.reap(syscall.SIGTERM)
		within(wordsGrace, p.words.done)
		e.text = fmt.Sprintf("command %q ended", p.cmd.Args[0])
		if e.exit != nil {
			e.text += ": " + e.exit.Error()
		}
	}
	if cut {
		e.text += ", within a frame"
	}
	if words := p.words.last(); words != "" {
		e.text += ": " + words
	}
	return e
}

// stopReading notes that nothing more is read from the command.
func (p *process) stopReading() { p.reading.Do(func() { close(p.read) }) }

// await has exited closed when the command has ended.
func (p *process) await() {
	p.waiting.Do(func() {
		go func() {
			defer close(p.exited)
			p.wait()
		}()
	})
}

// within waits for the channels to be closed, and reports whether they were in time.
func within(d time.Duration, channels ...<-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for _, c := range channels {
		select {
		case <-c:
		case <-timer.C:
			return false
		}
	}
	return true
}

// Close ends the command, and with it the processes of its group.
func (p *process) Close() error {
	p.in.Close()
	select {
	case <-p.read: // a command that writes must not wait for a reader
		p.out.Close()
	default:
	}
	p.await()
	// The end of the standard output tells that what the command has started has
	// ended too.
	if !within(quitGrace, p.exited, p.read) {
		p.signal(syscall.SIGTERM)
		within(termGrace, p.exited, p.read)
		p.signal(syscall.SIGKILL)
	}
	if within(killGrace, p.exited) {
		_ = p.reap(syscall.SIGKILL) // how it ended is of no interest any more
	} else {
		go func() {
			<-p.exited
			_ = p.reap(syscall.SIGKILL)
		}()
	}
	p.out.Close()
	p.words.close()
	return nil
}

// signal sends sig to the command, and to the processes of its group.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.send(sig)
	}
}

// reap releases the command, which has ended, and returns how. What it has started
// gets sig first, while the number of its group cannot be another's.
func (p *process) reap(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.send(sig)
		p.release()
		p.reaped = true
	}
	return p.status
}
