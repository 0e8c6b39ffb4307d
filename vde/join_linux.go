// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/wire"
)

// A joined is the result of joining: the sockets of one port.
type joined struct {
	dir       string // the control directory
	data      frameSocket
	ctl       *os.File
	offload   bool     // each datagram begins with an offload header
	early     [][]byte // frames from the switch that had come before connecting
	strangers int      // datagrams from others that had, discarded
}

// join tries the directories of loc in turn. It goes on to the next one only if
// there is no switch that this process may use.
func join(ctx context.Context, loc locator, cfg *config) (*joined, error) {
	var failed error
	for _, dir := range loc.dirs {
		j, err := joinDir(ctx, dir, loc, cfg)
		if err == nil {
			return j, nil
		}
		if failed == nil {
			failed = err
		} else {
			failed = fmt.Errorf("%w; %w", failed, err)
		}
		if !errors.Is(err, ErrNoSwitch) && !errors.Is(err, ErrControlDenied) {
			break
		}
	}
	return nil, failed
}

// joinDir joins the switch with control directory name. The steps are those of
// vde-protocol.md, section 4.
func joinDir(ctx context.Context, name string, loc locator, cfg *config) (_ *joined, err error) {
	dir, err := resolveDir(name)
	if err != nil {
		return nil, controlError("find the control directory", name, err)
	}
	// The group is looked up first: that may take its time, and a switch's
	// bookkeeping suffers from clients that connect and then think (section 15,
	// item 13).
	gid, err := groupID(cfg.group)
	if err != nil {
		return nil, err
	}
	description := cfg.fullDescription()

	ctl, port, err := dialControl(ctx, dir, loc, cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			ctl.file.Close()
		}
	}()
	data, err := bindData(dir, cfg.mode, gid, ctl)
	if err != nil {
		return nil, err
	}
	defer func() {
		data.unlink()
		if err != nil {
			data.close()
		}
	}()
	request, err := wire.AppendRequest(nil, wire.Request{Port: port, Path: data.path, Description: description})
	if err != nil {
		return nil, err
	}
	h := handshake{ctl: ctl, stream: ctlStream{file: ctl.file}, data: data, port: port, offer: cfg.offer(ctl)}
	peer, err := h.run(ctx, request)
	rings, headers, e := h.outcome(err == nil)
	switch {
	case err != nil:
		return nil, err
	case errors.Is(e, shm.ErrLost):
		// The switch sends to where nobody can hear it: once more, over sockets.
		ctl.file.Close()
		data.close()
		plain := *cfg
		plain.sharedMemory = SharedMemoryNever
		return joinDir(ctx, name, loc, &plain)
	case e != nil:
		return nil, h.notSwitch(e)
	case rings != nil:
		data.close()
		return &joined{dir: dir, data: &ringSocket{End: rings}, ctl: ctl.file}, nil
	}
	if err := data.connect(peer, dir); err != nil {
		return nil, err
	}
	if cfg.writeBuffer > 0 {
		if err := unix.SetsockoptInt(data.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, cfg.writeBuffer); err != nil {
			return nil, &joinError{step: "set the write buffer", err: os.NewSyscallError("setsockopt", err)}
		}
	}
	longest := cfg.maxFrame
	if headers {
		longest = max(longest, frame.MaxGSO) + frame.VNetHeaderLen
	}
	early, strangers, err := data.takeEarly(peer, longest)
	if err != nil {
		return nil, err
	}
	sock, err := data.socket()
	if err != nil {
		return nil, &joinError{step: "register the data socket", path: data.path, err: err}
	}
	return &joined{dir: dir, data: sock, ctl: ctl.file, offload: headers, early: early, strangers: strangers}, nil
}

// A control is the connected control stream.
type control struct {
	file *os.File
	path string // of the listening socket
}

// dialControl connects to the port group's socket or to ctl, and returns with it
// the port to ask for there (section 7).
func dialControl(ctx context.Context, dir string, loc locator, cfg *config) (control, wire.Port, error) {
	if loc.portGroup != "" {
		c, err := dialUnix(ctx, filepath.Join(dir, loc.portGroup))
		if err == nil {
			return c, wire.AnyPort, nil
		}
		if ctx.Err() != nil {
			return control{}, 0, err
		}
		if loc.port == wire.AnyPort && !cfg.portGroupFallback {
			if e := (*joinError)(nil); errors.As(err, &e) && e.kind == ErrNoSwitch {
				e.step, e.kind = "connect to the port group's socket", ErrNoPortGroup
				e.remedy = "check its name; WithPortGroupFallback joins any free port instead"
			}
			return control{}, 0, err
		}
	}
	c, err := dialUnix(ctx, filepath.Join(dir, "ctl"))
	return c, loc.port, err
}

// dialUnix connects a stream to the socket at path, which is a control socket.
func dialUnix(ctx context.Context, path string) (control, error) {
	const step = "connect to the control socket"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return control{}, &joinError{step: "make the control socket", err: os.NewSyscallError("socket", err)}
	}
	// A full backlog is EAGAIN for a stream of this family, and the poller has
	// no event for its end, so all one can do is to ask again.
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if err = ctx.Err(); err != nil {
			err = contextError(ctx)
			break
		}
		err = ignoringEINTR(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
		if err != unix.EAGAIN {
			err = os.NewSyscallError("connect", err)
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	if err != nil {
		unix.Close(fd)
		return control{}, controlError(step, path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := f.SetDeadline(time.Time{}); err != nil {
		f.Close()
		return control{}, &joinError{step: "register the control socket", path: path, err: err}
	}
	return control{file: f, path: path}, nil
}

// controlError names what a failure to reach the control socket means.
func controlError(step, path string, err error) error {
	e := &joinError{step: step, path: path, err: err}
	switch {
	case is(err, syscall.ENAMETOOLONG), is(err, syscall.EINVAL) && len(path) > wire.MaxPathLen:
		e.kind = ErrPathTooLong
		e.remedy = fmt.Sprintf("%d bytes, at most %d are possible: use a shorter directory or a symbolic link's target", len(path), wire.MaxPathLen)
	case is(err, syscall.ENOENT):
		e.kind = ErrNoSwitch
		e.remedy = "check the path, or start a switch there"
	case is(err, syscall.ECONNREFUSED) && notSocket(path):
		e.kind = ErrNotSwitch
		e.remedy = "this file is not a socket: give the control directory of a switch"
	case is(err, syscall.ECONNREFUSED):
		e.kind = ErrNoSwitch
		e.remedy = "nobody listens: the switch that made this socket is gone, start it again"
	case is(err, syscall.ENOTDIR, syscall.EPROTOTYPE, syscall.ELOOP):
		e.kind = ErrNotSwitch
		e.remedy = "give the control directory of a switch"
	case is(err, syscall.EACCES, syscall.EPERM):
		e.kind = ErrControlDenied
		e.remedy = "ask the owner of the switch for access: its mode (-m) and group (-g), and search permission on every directory above"
	case errors.Is(err, context.DeadlineExceeded):
		e.remedy = "the switch does not accept connections: it is stopped or overloaded"
	}
	return e
}

// notSocket reports whether there is a file at path that is no socket, for which
// connect has the same error as for a socket that nobody listens on.
func notSocket(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode()&fs.ModeSocket == 0
}

// A handshake asks for a port on a connected control stream.
type handshake struct {
	ctl  control
	data *dataSocket
	port wire.Port

	stream ctlStream
	offer  *shm.Offer // nil if nothing is offered
}

// outcome tells what became of the offer, given whether the switch has replied.
func (h *handshake) outcome(replied bool) (rings *shm.End, headers bool, err error) {
	fds := h.stream.take()
	if h.offer != nil && replied {
		rings, headers, err = h.offer.Taken(fds)
		if rings != nil && h.ctl.inProcess() {
			rings.SameProcess()
		}
		return rings, headers, err
	}
	if h.offer != nil {
		h.offer.Close()
	}
	shm.CloseRights(fds) // nobody asked for them
	return nil, false, nil
}

// probeDelay is how long to wait for a reply before asking whether silence is
// the answer; less if the context leaves less time. Only tests change it.
var probeDelay = 250 * time.Millisecond

// run sends the request and returns the name of the switch's data socket.
func (h *handshake) run(ctx context.Context, request []byte) (peer string, err error) {
	f := h.ctl.file
	stop := context.AfterFunc(ctx, func() { f.SetDeadline(aLongTimeAgo) })
	defer func() {
		if !stop() && err == nil {
			err = h.failed("wait for the switch's reply", contextError(ctx))
		}
		if err == nil {
			err = f.SetDeadline(time.Time{})
		}
	}()
	// One write, because the description has no length of its own: to a switch
	// it is what one read brings.
	var attached []int
	if h.offer != nil {
		attached = h.offer.Descriptors()
	}
	err = h.stream.write(request, attached)
	if is(err, syscall.ETOOMANYREFS) {
		// So many descriptors of this user's are under way to somebody who does not
		// read. Nothing was sent; without any it goes.
		h.offer.Close()
		h.offer = nil
		err = h.stream.write(request, nil)
	}
	if is(err, syscall.EPIPE, syscall.ECONNRESET) {
		// It depends on the moment whether a door that is slammed is noticed
		// here or when reading; that must not make a difference.
		return "", h.refused(closedInstead)
	} else if err != nil {
		return "", h.failed("send the request", orContext(ctx, err))
	}
	silent := h.watchSilence(ctx)
	var reply [wire.ReplyLen]byte
	n, err := io.ReadFull(&h.stream, reply[:])
	refused := silent() && err != nil
	if refused {
		// What was written before the other connection was answered is in our
		// stream by now.
		if n += h.stream.readAll(reply[n:]); n == len(reply) {
			err = nil
		}
	}
	if err == nil {
		peer, err := wire.ParseReply(reply[:])
		if err != nil {
			return "", h.notSwitch(err)
		}
		return peer, nil
	}
	switch {
	case n > 0 && (errors.Is(err, io.ErrUnexpectedEOF) || is(err, syscall.ECONNRESET) || refused && ctx.Err() == nil):
		return "", h.notSwitch(fmt.Errorf("reply of %d bytes instead of %d", n, wire.ReplyLen))
	case errors.Is(err, io.EOF), is(err, syscall.ECONNRESET, syscall.EPIPE):
		return "", h.refused(closedInstead)
	case refused && ctx.Err() == nil:
		return "", h.refused("the switch does not reply, but answers others")
	}
	return "", h.failed("wait for the switch's reply", orContext(ctx, err))
}

// closedInstead is how a switch says no.
const closedInstead = "the switch closed the connection instead of replying"

// watchSilence starts to find out, if no reply comes, whether the switch has
// decided not to answer: vde_switch 2.3.2 refuses ports without a word and
// leaves the stream open, and vdeplug4's nodes do that with port 0. A switch
// handles what it reads one after the other, so once it has answered a later
// connection it has dealt with ours, and silence is the refusal. A switch that
// is stopped or hangs does not answer that one either.
//
// The returned function ends the watch and says whether the switch was found to
// have refused; in that case it has made the pending read of ctl return.
func (h *handshake) watchSilence(ctx context.Context) (silent func() bool) {
	delay := probeDelay
	if t, ok := ctx.Deadline(); ok {
		delay = min(delay, time.Until(t)/4)
	}
	ctx, cancel := context.WithCancel(ctx)
	result := make(chan bool, 1)
	go func() {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			result <- false
			return
		case <-timer.C:
		}
		answers := answersOthers(ctx, h.ctl.path)
		if answers {
			h.ctl.file.SetReadDeadline(aLongTimeAgo)
		}
		result <- answers
	}()
	return func() bool {
		cancel()
		return <-result
	}
}

// nowhere is the name of a data socket that cannot exist.
const nowhere = "/dev/null/nowhere"

// answersOthers reports whether the switch at path answers a connection that
// asks for any port but names a data socket that cannot be reached. vde_switch
// looks at that first and closes the connection, without side effects. A node of
// vdeplug4 replies, and forgets the cable when the connection ends; to a request
// it does not understand it would not answer, and it runs in circles for ever
// once such a connection is closed. answersOthers returns false when ctx ends.
func answersOthers(ctx context.Context, path string) bool {
	request, err := wire.AppendRequest(nil, wire.Request{Path: nowhere})
	if err != nil {
		return false
	}
	c, err := dialUnix(ctx, path)
	if err != nil {
		return false
	}
	defer c.file.Close()
	stop := context.AfterFunc(ctx, func() { c.file.SetDeadline(aLongTimeAgo) })
	defer stop()
	if _, err := c.file.Write(request); err != nil {
		return is(err, syscall.EPIPE, syscall.ECONNRESET)
	}
	_, err = c.file.Read(make([]byte, wire.ReplyLen))
	return err == nil || errors.Is(err, io.EOF) || is(err, syscall.ECONNRESET)
}

// refused names the reason of a refusal, which the protocol does not tell.
func (h *handshake) refused(how string) error {
	e := &joinError{step: "ask for " + portName(h.port), path: "at " + h.ctl.path, err: errors.New(how)}
	switch {
	case !h.switchMayWrite():
		e.kind = ErrConnectBackDenied
		e.remedy = fmt.Sprintf("the switch's user must be able to write to %s: give it the group (WithSocketGroup, group=) or a wider mode (WithSocketMode, mode=)", h.data.path)
	case h.port == wire.AnyPort:
		e.kind = ErrSwitchFull
		e.remedy = "free a port or give the switch more of them (-n), if it is a VDE switch at all"
	default:
		e.kind = ErrPortRefused
		e.remedy = "it is in use by another user, restricted, or beyond the switch's number of ports"
	}
	return e
}

// switchMayWrite reports whether the process that listens on the control socket
// has write permission for our data socket, as far as can be told from here:
// it may be in more groups than the one its credentials name.
func (h *handshake) switchMayWrite() bool {
	cred, err := h.ctl.peer()
	if err != nil {
		return true
	}
	var st unix.Stat_t
	if cred.Uid == 0 || unix.Stat(h.data.path, &st) != nil {
		return true
	}
	const readWrite = 6
	switch {
	case cred.Uid == st.Uid:
		return st.Mode>>6&readWrite == readWrite
	case cred.Gid == st.Gid:
		return st.Mode>>3&readWrite == readWrite
	}
	return st.Mode&readWrite == readWrite
}

func (h *handshake) notSwitch(err error) error {
	return &joinError{step: "read the reply of", path: h.ctl.path, kind: ErrNotSwitch, err: err, remedy: "give the control directory of a switch"}
}

// failed dresses an error that says nothing about the switch's decision.
func (h *handshake) failed(step string, err error) error {
	e := &joinError{step: step, path: "at " + h.ctl.path, err: err}
	if errors.Is(err, context.DeadlineExceeded) {
		e.remedy = "the switch is stopped, or refuses " + portName(h.port) + " without a word"
	}
	return e
}

func portName(p wire.Port) string {
	switch p {
	case wire.AnyPort:
		return "a port"
	case wire.ManagementPort:
		return "port 0"
	}
	return fmt.Sprintf("port %d", p)
}

// orContext returns ctx's error if that is what made err happen.
func orContext(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return contextError(ctx)
	}
	return err
}

// contextError returns the error of ctx, and its cause if that says more.
func contextError(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, err) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
