// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// joinTimeout bounds joining when ctx has no deadline. Only tests change it.
var joinTimeout = 5 * time.Second

// A joiner joins a switch at one address. It does not change.
type joiner struct {
	address
	settings link.Settings
	streams  *uint8 // features of streams to offer; nil: no streams
}

func open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	a, err := parseAddress(l, systemSwitches())
	if err != nil {
		return nil, err
	}
	s.SocketGroup = cmp.Or(a.group, s.SocketGroup)
	s.SocketMode = cmp.Or(a.mode, s.SocketMode, fs.FileMode(0o700))
	s.MaxFrameSize = cmp.Or(s.MaxFrameSize, frame.DefaultMaxSize)
	if a.portGroup == "" && s.Port != 0 {
		// As in libvdeplug a number given here means what it means in the VNL.
		a.port = wire.Port(max(s.Port, int(wire.ManagementPort)))
		a.portGroup = strconv.Itoa(max(s.Port, 0))
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, joinTimeout)
		defer cancel()
	}
	return joiner{a, s, streamFeatures(s)}.join(ctx)
}

// streamFeatures returns the features of streams to offer, or nil to offer none.
func streamFeatures(s link.Settings) *uint8 {
	switch {
	case s.Streams == link.StreamsNever, s.MaxFrameSize > sockio.MaxStreamFrame,
		s.Streams == link.StreamsAuto && s.SharedMemory == link.SharedMemoryNever:
		return nil
	case s.Offload:
		return new(uint8(wire.StreamHeaders))
	}
	return new(uint8)
}

// join tries the directories in turn. It goes on to the next one only if there is
// no switch that this process may use.
func (j joiner) join(ctx context.Context) (link.Link, error) {
	var failed error
	for _, dir := range j.dirs {
		l, err := j.joinDir(ctx, dir)
		if err == nil {
			return l, nil
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
// docs/spec/vde-protocol.md, section 4.
func (j joiner) joinDir(ctx context.Context, name string) (_ link.Link, err error) {
	dir, err := resolveDir(name)
	if err != nil {
		return nil, controlError("find the control directory", name, err)
	}
	// The group is looked up first: that may take its time, and a switch's
	// bookkeeping suffers from clients that connect and then think
	// (docs/spec/vde-protocol.md, section 15, item 13).
	gid, err := groupID(j.settings.SocketGroup)
	if err != nil {
		return nil, err
	}
	description := j.description()

	ctl, port, err := j.dialControl(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			ctl.Close()
		}
	}()
	data, err := bindData(dir, j.settings.SocketMode, gid, ctl.path)
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
	h := handshake{ctl: ctl, data: data, port: port, offer: j.offer(ctl), noPolling: j.settings.NoPolling}
	peer, err := h.run(ctx, request)
	rings, headers, e := h.outcome(err == nil)
	switch {
	case err != nil:
		return nil, err
	case errors.Is(e, shm.ErrLost):
		// The switch sends to where nobody can hear it: once more, over sockets.
		ctl.Close()
		data.close()
		j.settings.SharedMemory = link.SharedMemoryNever
		return j.joinDir(ctx, name)
	case e != nil:
		return nil, h.notSwitch(e)
	case rings != nil:
		data.close()
		return transport.New(transport.Config{Stream: ctl.Stream, Transport: rings, Address: "vde://" + dir}), nil
	case h.stream:
		data.close()
		return j.streaming(ctl, h.streamFeatures, dir)
	}
	return j.connected(ctl, data, peer, dir, headers)
}

// connected returns the link of a finished handshake, whose frames go through the
// data sockets: behind virtio-net headers, if headers is set.
func (j joiner) connected(ctl control, data *dataSocket, peer, dir string, headers bool) (link.Link, error) {
	if err := data.connect(peer, dir); err != nil {
		return nil, err
	}
	if err := setWriteBuffer(data.fd, j.settings.WriteBuffer); err != nil {
		return nil, err
	}
	longest := j.settings.MaxFrameSize
	if headers {
		longest = max(longest, frame.MaxGSO) + frame.VNetHeaderLen
	}
	queued, foreign, err := data.takeQueued(peer, longest)
	if err != nil {
		return nil, err
	}
	if headers {
		queued = withoutHeaders(queued)
	}
	sock, err := data.socket(headers)
	if err != nil {
		return nil, &joinError{step: "register the data socket", path: data.path, err: err}
	}
	return transport.New(transport.Config{
		Stream: ctl.Stream, Transport: sock, Address: "vde://" + dir, BeforeConnect: queued, Foreign: foreign,
	}), nil
}

// streaming returns the link of a finished handshake, whose frames go through the
// control stream.
func (j joiner) streaming(ctl control, features uint8, dir string) (link.Link, error) {
	fd, err := ctl.Detach()
	if err != nil {
		return nil, &joinError{step: "take over the control socket", path: ctl.path, err: err}
	}
	transport.RefuseDescriptors(fd)
	if err := setWriteBuffer(fd, j.settings.WriteBuffer); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s, err := sockio.NewStream(fd, sockio.StreamConfig{Name: ctl.path, Headers: features&wire.StreamHeaders != 0})
	if err != nil {
		return nil, &joinError{step: "register the control socket", path: ctl.path, err: err}
	}
	return transport.New(transport.Config{Stream: s.Control(), Transport: s, Address: "vde://" + dir}), nil
}

// setWriteBuffer sets the size of the queue of the socket fd, unless n is 0.
func setWriteBuffer(fd, n int) error {
	if n == 0 {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n); err != nil {
		return &joinError{step: "set the write buffer", err: os.NewSyscallError("setsockopt", err)}
	}
	return nil
}

// withoutHeaders returns the ordinary frames in datagrams that begin with
// virtio-net headers. What is no frame becomes one that is too short to be any.
func withoutHeaders(datagrams [][]byte) (frames [][]byte) {
	for _, d := range datagrams {
		h, err := frame.ParseVNetHeader(d)
		if err != nil {
			frames = append(frames, d)
			continue
		}
		f := d[frame.VNetHeaderLen:]
		switch {
		case len(f) == 0 || gso.Check(h, f) != nil:
			frames = append(frames, make([]byte, 1))
		case h.GSOType != frame.GSONone:
			frames = append(frames, gso.Segments(h, f)...)
		default:
			gso.Finish(h, f)
			frames = append(frames, f)
		}
	}
	return frames
}

// description is the description as it is sent.
func (j joiner) description() string {
	return wire.Description(j.settings.Description, account.UserName(), os.Getpid(), os.Getenv("SSH_CLIENT"))
}

// offer makes what to offer the switch that listens at the other end of ctl, or
// nil: for lack of a descriptor, say, frames can still go through sockets.
func (j joiner) offer(ctl control) *shm.Offer {
	var features uint64
	if j.mayShare(ctl) && j.settings.MaxFrameSize <= shm.MaxFrame {
		features |= shm.FeatureRings
	}
	if j.settings.Offload {
		features |= shm.FeatureHeaders
	}
	if features == 0 {
		return nil
	}
	o, err := shm.NewOffer(features, j.settings.MaxFrameSize)
	if err != nil {
		return nil
	}
	return o
}

// mayShare reports whether the switch may have memory of this process.
func (j joiner) mayShare(ctl control) bool {
	if j.settings.SharedMemory != link.SharedMemorySameUser {
		return j.settings.SharedMemory == link.SharedMemoryAlways
	}
	cred, err := ctl.Peer()
	return err == nil && int(cred.Uid) == os.Geteuid()
}
