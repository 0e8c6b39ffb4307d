// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"io"
	"sync"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/vswitch"
)

// A shared is a message for several clients: it is encoded once for all, when the first of
// them needs it, in each of the two forms.
type shared struct {
	proto.Message
	binary, json encoding
}

// An encoding is one form of a message.
type encoding struct {
	once sync.Once
	b    []byte
	err  error
}

func (s *shared) encode(json bool) ([]byte, error) {
	e := &s.binary
	if json {
		e = &s.json
	}
	e.once.Do(func() {
		if json {
			e.b, e.err = protojson.Marshal(s.Message)
		} else {
			e.b, e.err = proto.Marshal(s.Message)
		}
	})
	return e.b, e.err
}

// An eventList is a WatchEventsResponse of events that are shared.
type eventList []*sharedEvent

// A sharedEvent is an event of a history.
type sharedEvent struct {
	vswitch.Event
	message shared // of the Event; made when it is first needed
	once    sync.Once
}

func (e *sharedEvent) encode(json bool) ([]byte, error) {
	e.once.Do(func() { e.message.Message = encodeEvent(e.Event) })
	return e.message.encode(json)
}

func (l eventList) encode(json bool) (b []byte, _ error) {
	if json {
		b = append(b, `{"events":[`...)
	}
	for i, e := range l {
		m, err := e.encode(json)
		switch {
		case err != nil:
			return nil, err
		case json && i > 0:
			b = append(append(b, ','), m...)
		case json:
			b = append(b, m...)
		default:
			b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), m)
		}
	}
	if json {
		b = append(b, "]}"...)
	}
	return b, nil
}

// An encoder encodes itself.
type encoder interface {
	encode(json bool) ([]byte, error)
}

// A codec is one of Connect's that knows what encodes itself.
type codec struct {
	connect.Codec
	json bool
}

// codecs returns the codecs of a server.
func codecs() []connect.Codec {
	return []connect.Codec{codec{connectproto.NewBinaryCodec(), false}, codec{connectproto.NewJSONCodec(), true}}
}

// MarshalWrite implements connect.Codec.
func (c codec) MarshalWrite(ctx context.Context, dst io.Writer, msg any) error {
	e, ok := msg.(encoder)
	if !ok {
		return c.Codec.MarshalWrite(ctx, dst, msg)
	}
	b, err := e.encode(c.json)
	if err != nil {
		return err
	}
	_, err = dst.Write(b)
	return err
}

// A streamKey is the key of a stream's *timedStream in its context.
type streamKey struct{}

// sendShared sends what encodes itself on the stream with the context ctx.
func sendShared(ctx context.Context, e encoder) error {
	return ctx.Value(streamKey{}).(*timedStream).Send(e)
}
