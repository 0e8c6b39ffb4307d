// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// A handshake asks for a port on a connected control stream.
type handshake struct {
	ctl  control
	data *dataSocket
	port wire.Port

	offer     *shm.Offer // nil if nothing is offered
	noPolling bool       // of rings, if the switch takes them

	stream         bool  // the switch has taken the offer of the stream's name
	streamFeatures uint8 // and these of its features
}

// outcome tells what became of the offer, given whether the switch has replied.
func (h *handshake) outcome(replied bool) (rings *shm.End, headers bool, err error) {
	fds := h.ctl.Descriptors()
	if h.offer != nil && replied {
		rings, headers, err = h.offer.Taken(fds)
		if rings != nil && h.noPolling {
			rings.NoPolling()
		}
		if rings != nil && h.ctl.InProcess() {
			rings.SameProcess()
		}
		return rings, headers, err
	}
	if h.offer != nil {
		h.offer.Close()
	}
	transport.CloseDescriptors(fds) // nobody asked for them
	return nil, false, nil
}

// probeDelay is how long to wait for a reply before asking whether silence is
// the answer; less if the context leaves less time. Only tests change it.
var probeDelay = 250 * time.Millisecond

// run sends the request and returns the name of the switch's data socket.
func (h *handshake) run(ctx context.Context, request []byte) (peer string, err error) {
	stop := context.AfterFunc(ctx, func() { h.ctl.SetDeadline(deadline.Past()) })
	defer func() {
		if !stop() && err == nil {
			err = h.failed("wait for the switch's reply", contextError(ctx))
		}
		if err == nil {
			err = h.ctl.SetDeadline(time.Time{})
		}
	}()
	// One write, because the description has no length of its own: to a switch
	// it is what one read brings.
	var attached []int
	if h.offer != nil {
		attached = h.offer.Descriptors()
	}
	err = h.ctl.Write(request, attached)
	if is(err, syscall.ETOOMANYREFS) {
		// Too many descriptors of this user are queued at processes that do not read.
		// Nothing was sent; without descriptors the request can be.
		h.offer.Close()
		h.offer = nil
		err = h.ctl.Write(request, nil)
	}
	if is(err, syscall.EPIPE, syscall.ECONNRESET) {
		// Whether a closed connection is noticed here or when reading depends on the
		// moment, and must not make a difference.
		return "", h.refused(closedInstead)
	} else if err != nil {
		return "", h.failed("send the request", orContext(ctx, err))
	}
	silent := h.watchSilence(ctx)
	var reply [wire.ReplyLen]byte
	n, err := io.ReadFull(h.ctl, reply[:])
	refused := silent() && err != nil
	if refused {
		// What was written before the other connection was answered is in our
		// stream by now.
		if n += h.ctl.ReadAvailable(reply[n:]); n == len(reply) {
			err = nil
		}
	}
	if err == nil {
		return h.parseReply(reply[:])
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

// parseReply returns the name of the switch's data socket, and notes whether the
// switch has taken the offer of a stream.
func (h *handshake) parseReply(reply []byte) (peer string, err error) {
	peer, err = wire.ParseReply(reply)
	if err == nil && h.ctl.streams != nil {
		h.streamFeatures, h.stream, err = wire.ParseStreamAnswer(reply, *h.ctl.streams)
	}
	if err != nil {
		return "", h.notSwitch(err)
	}
	return peer, nil
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
		// A deadline that seems to have passed, while ctx has not ended, is one of
		// the wall clock, which was set forward. It does not tell what is left.
		if left := time.Until(t); left > 0 {
			delay = min(delay, left/4)
		}
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
			h.ctl.SetReadDeadline(deadline.Past())
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
// vdeplug4 replies, and forgets the endpoint when the connection ends; to a request
// it does not understand it would not answer, and it loops for ever
// once such a connection is closed. answersOthers returns false when ctx ends.
func answersOthers(ctx context.Context, path string) bool {
	request, err := wire.AppendRequest(nil, wire.Request{Path: nowhere})
	if err != nil {
		return false
	}
	c, err := dialUnix(ctx, path, nil)
	if err != nil {
		return false
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(deadline.Past()) })
	defer stop()
	if err := c.Write(request, nil); err != nil {
		return is(err, syscall.EPIPE, syscall.ECONNRESET)
	}
	_, err = c.Read(make([]byte, wire.ReplyLen))
	return err == nil || errors.Is(err, io.EOF) || is(err, syscall.ECONNRESET)
}

// refused names the reason of a refusal, which the protocol does not tell.
func (h *handshake) refused(how string) error {
	e := &joinError{step: "ask for " + h.port.String(), path: "at " + h.ctl.path, err: errors.New(how)}
	switch {
	case !h.switchMayWrite():
		e.kind = ErrConnectBackDenied
		e.remedy = fmt.Sprintf("the switch's user must be able to write to %s: give it the group (group=) or a wider mode (mode=)", h.data.path)
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
	cred, err := h.ctl.Peer()
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
		e.remedy = "the switch is stopped, or refuses " + h.port.String() + " without a word"
	}
	return e
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
