// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/link"
)

// A streamTransport carries frames through the control stream. The data socket that
// the reply names stays, as for rings; see [ringTransport].
type streamTransport struct {
	*sockio.Stream
	data int
}

// Close implements [transport.Transport].
func (s *streamTransport) Close() (unread int, err error) {
	unread, err = s.Stream.Close()
	return unread, errors.Join(err, transport.CloseSocket(s.data))
}

// maxDataName is the length of the longest name of a data socket behind the name of
// its directory: "/", a port, ".", and a number that makes it unique.
const maxDataName = len("/8388607.2147483647")

var errNoStream = errors.New("no stream was offered that this switch takes")

// takesStream returns the features of the stream that a client's control stream
// offers, or an error if frames cannot go through it.
func (l *Listener) takesStream(stream *transport.Stream) (features uint8, err error) {
	if l.sw.cfg.NoStreams || len(l.dir.path)+maxDataName > wire.MaxStreamPathLen {
		return 0, errNoStream
	}
	features, ok := wire.ParseStreamName(stream.PeerName())
	if !ok {
		return 0, errNoStream
	}
	return features, nil
}

// openStream returns the link of j, whose frames go through the control stream. The
// reply is the first thing to be sent on it: other ports may send frames before it is
// flushed.
func (l *Listener) openStream(j *joining) (link.Link, error) {
	reply, err := wire.AppendReply(nil, j.name.Path())
	if err == nil {
		err = wire.PutStreamAnswer(reply, j.features)
	}
	if err != nil {
		return nil, err
	}
	fd, err := j.stream.Detach()
	if err != nil {
		return nil, err
	}
	if err := setWriteBuffer(fd, l.sw.cfg.WriteBuffer); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s, err := sockio.NewStream(fd, sockio.StreamConfig{
		Name: "control stream", Headers: j.features&wire.StreamHeaders != 0, Served: true, First: reply,
	})
	if err != nil {
		return nil, err
	}
	j.transport = &streamTransport{s, j.fd}
	name := j.name
	return transport.New(transport.Config{
		Stream: s.Control(), Transport: j.transport,
		Refuse: true, OnClose: func() { _ = name.Remove() },
	}), nil
}
