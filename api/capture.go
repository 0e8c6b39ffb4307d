// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// captureBatch is how many frames an answer has at most. Partial frames are taken as they
// are, so that the switch need not segment them for a capture, and each may have 64 KiB.
const captureBatch = 16

func (s *service) Capture(ctx context.Context, r *pb.CaptureRequest, stream pb.SwitchServiceCaptureServerStream) error {
	n, err := portNumber("port", r.Port)
	if err != nil {
		return err
	}
	conn, err := s.sw.Monitor(n, vde.WithDescription("api capture"))
	if err != nil {
		return failure(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := stream.Send(&pb.CaptureResponse{}); err != nil {
		return err
	}
	bufs := make([][]byte, captureBatch)
	for i := range bufs {
		bufs[i] = make([]byte, frame.MaxGSO)
	}
	windows, headers := make([][]byte, len(bufs)), make([]frame.VNetHeader, len(bufs))
	for sent := uint64(0); r.GetMaxFrames() == 0 || sent < r.GetMaxFrames(); {
		want := len(bufs)
		if left := r.GetMaxFrames() - sent; r.GetMaxFrames() != 0 && left < uint64(want) {
			want = int(left)
		}
		copy(windows, bufs)
		k, err := conn.ReadPackets(windows[:want], headers[:want])
		if err != nil {
			return captureEnd(ctx, err)
		}
		sent += uint64(k)
		answer := &pb.CaptureResponse{Frames: records(windows[:k], r.GetSnapLen()), Dropped: conn.Stats().RxMissed}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
	return nil
}

// records returns the records of frames that were just received. They share memory.
func records(frames [][]byte, snapLen uint32) []*pb.CapturedFrame {
	now := timestamppb.New(time.Now())
	list := make([]*pb.CapturedFrame, len(frames))
	for i, f := range frames {
		list[i] = &pb.CapturedFrame{Time: now, Data: f, Length: uint32(len(f))}
		if snapLen > 0 && uint64(len(f)) > uint64(snapLen) {
			list[i].Data = f[:snapLen]
		}
	}
	return list
}

// captureEnd returns why a capture ended.
func captureEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return connect.NewError(connect.CodeUnavailable, "the capture has ended: "+text(err.Error()))
}
