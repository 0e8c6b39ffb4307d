// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// limit bounds every wait of this package that has no earlier deadline of its own.
const limit = 30 * time.Second

// bounded returns ctx with limit as its deadline, unless an earlier one is set.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("testpeers: nothing happened for %v: %w", limit, context.DeadlineExceeded))
}

// A Credential is the user a peer runs as.
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups; none are inherited
}

// A ProcessConfig describes a program to run.
type ProcessConfig struct {
	// Args is the program, looked up like any command, and its arguments.
	Args []string

	// Env is added to the environment of the test.
	Env []string

	// User, if not nil, is who runs the program; this needs privileges.
	User *Credential

	// Namespace, if not nil, is the network namespace to run it in.
	Namespace *Namespace

	// Files are passed on as the descriptors from 3 on.
	Files []*os.File

	stdin  *os.File // nil: a pipe that stays open as long as the Process does
	stdout *os.File // nil: into the log
}

// A Process is a program started for one test. The end of the test stops it. Its standard input is a pipe that
// stays open until then. If the test binary crashes, the kernel closes the pipe, and programs that read their
// input, such as vde_switch and vde_plug, end.
//
// The methods may be called from any goroutine. They report errors to the test.
type Process struct {
	t    testing.TB
	name string
	cfg  ProcessConfig
	log  tail

	mu     sync.Mutex
	run    *run // the current or last one, never nil after start
	paused bool // SIGSTOP sent to it, and no SIGCONT since
}

// A run is a Process from one start to its end.
type run struct {
	cmd   *exec.Cmd
	stdin *os.File      // our end of the pipe, or nil
	done  chan struct{} // closed when the process is reaped
	err   error         // how it ended, set before done is closed
}

// StartProcess runs a program until the test ends, and logs its output if the test fails. It returns when the
// program has been started, which may be before it is ready.
func StartProcess(t testing.TB, cfg ProcessConfig) *Process {
	t.Helper()
	if len(cfg.Args) == 0 {
		t.Fatal("testpeers: no program given")
	}
	p := newProcess(t, cfg)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// newProcess prepares a Process and registers its end; start must follow.
func newProcess(t testing.TB, cfg ProcessConfig) *Process {
	t.Helper()
	if cfg.User != nil && int(cfg.User.UID) != os.Getuid() {
		Need(t, "CAP_SETUID", "CAP_SETGID")
	}
	p := &Process{t: t, name: cfg.Args[0], cfg: cfg}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("output of %s:\n%s", strings.Join(cfg.Args, " "), p.Log())
		}
	})
	return p
}

func (p *Process) start() error {
	path, err := lookPath(p.cfg.Args[0])
	if err != nil {
		return err
	}
	cmd := exec.Command(path, p.cfg.Args[1:]...)
	cmd.Env = append(os.Environ(), p.cfg.Env...)
	cmd.ExtraFiles = p.cfg.Files
	cmd.Stderr = &p.log
	cmd.Stdout = &p.log
	if p.cfg.stdout != nil {
		cmd.Stdout = p.cfg.stdout
	}
	// A grandchild that inherited the output must not delay Wait.
	cmd.WaitDelay = time.Second
	if err := setCredential(cmd, p.cfg.User); err != nil {
		return err
	}
	r := &run{cmd: cmd, done: make(chan struct{})}
	cmd.Stdin = p.cfg.stdin
	if p.cfg.stdin == nil {
		in, out, err := os.Pipe()
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.Stdin, r.stdin = in, out
	}
	begin := cmd.Start
	if ns := p.cfg.Namespace; ns != nil {
		begin = func() error { return ns.Do(cmd.Start) }
	}
	if err := begin(); err != nil {
		if r.stdin != nil {
			r.stdin.Close()
		}
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.mu.Lock()
	p.run, p.paused = r, false
	p.mu.Unlock()
	go func() {
		r.err = cmd.Wait()
		if r.stdin != nil {
			r.stdin.Close()
		}
		close(r.done)
	}()
	return nil
}

func (p *Process) current() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// PID returns the process id.
func (p *Process) PID() int { return p.current().cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.current().done }

// Err returns nil while the process runs and if it ended with status 0, and else an [exec.ExitError].
func (p *Process) Err() error {
	r := p.current()
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Running reports whether the process has not ended yet; a paused one has not.
func (p *Process) Running() bool {
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// Log returns the latest 64 KiB of what the process wrote to its standard error, and to its standard output
// unless a peer uses that for something else.
func (p *Process) Log() string { return p.log.String() }

// Wait waits until the process ends by itself and returns its error.
func (p *Process) Wait(ctx context.Context) error {
	r := p.current()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// CloseInput closes the standard input of the process, which tells vde_switch and vde_plug to end.
func (p *Process) CloseInput() {
	if r := p.current(); r.stdin != nil {
		r.stdin.Close()
	}
}

// Stop asks the process to end (SIGTERM), also if it is paused, and waits until it has. A process that
// ignores it is killed, and the test fails. Stopping what has ended does nothing.
func (p *Process) Stop() {
	p.t.Helper()
	if p.current() == nil { // it was never started
		return
	}
	p.signal(syscall.SIGTERM)
	p.Resume()
	if err := p.ended(); err != nil {
		p.t.Errorf("%s ignored SIGTERM: %v", p.name, err)
		p.Kill()
	}
}

// Kill ends the process without giving it time to clean up (SIGKILL) and waits until it has ended.
func (p *Process) Kill() {
	p.t.Helper()
	p.signal(os.Kill)
	if err := p.ended(); err != nil {
		p.t.Errorf("%s survived SIGKILL: %v", p.name, err)
	}
}

// ended waits for the process to be reaped.
func (p *Process) ended() error {
	r := p.current()
	ctx, cancel := bounded(context.Background())
	defer cancel()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// signal sends sig unless the process has ended. It goes through a process descriptor where the system has
// them, so it cannot reach another process that has got the same pid.
func (p *Process) signal(sig os.Signal) {
	p.t.Helper()
	err := p.current().cmd.Process.Signal(sig)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("%v to %s: %v", sig, p.name, err)
	}
}

// Pause stops the process (SIGSTOP) and returns when the kernel has stopped it. Its sockets stay open, and their
// queues accept data.
func (p *Process) Pause() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := stopAndWait(p.run.cmd.Process); err != nil {
		p.t.Errorf("pause %s: %v", p.name, err)
		return
	}
	p.paused = true
}

// Resume lets a paused process go on.
func (p *Process) Resume() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused {
		return
	}
	p.paused = false
	if err := resume(p.run.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("resume %s: %v", p.name, err)
	}
}

// await calls ready with a context that ends with the process; the cause then contains the log.
func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	r := p.current()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-r.done:
			cancel(fmt.Errorf("%s ended: %v\n%s", p.name, r.err, p.Log()))
		case <-ctx.Done():
		}
	}()
	err := ready(ctx)
	cancel(nil)
	<-ended
	return err
}

// A tail is a writer that keeps the latest bytes.
type tail struct {
	mu  sync.Mutex
	buf []byte // at most 2*tailSize; mu held
}

const tailSize = 64 << 10

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if len(l.buf) > 2*tailSize {
		l.buf = append(l.buf[:0], l.buf[len(l.buf)-tailSize:]...)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf[max(0, len(l.buf)-tailSize):])
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// deadlineOnDone makes reads from r fail once ctx is done. The returned function lifts the deadline, and returns
// when none can follow.
func deadlineOnDone(ctx context.Context, r interface{ SetReadDeadline(time.Time) error }) func() {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		r.SetReadDeadline(past)
		close(fired)
	})
	return func() {
		if !stop() {
			<-fired
		}
		r.SetReadDeadline(time.Time{})
	}
}
