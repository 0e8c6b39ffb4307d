// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/impair"
)

// encodeImpair returns the message for the impairments of a port, nil for none.
func encodeImpair(c impair.Config) *pb.Impairments {
	if c == (impair.Config{}) {
		return nil
	}
	return &pb.Impairments{Seed: c.Seed, In: encodeImpairment(c.In), Out: encodeImpairment(c.Out)}
}

func encodeImpairment(i impair.Impairment) *pb.Impairment {
	if i == (impair.Impairment{}) {
		return nil
	}
	return &pb.Impairment{
		Delay: encodeDelay(i.Delay), Jitter: encodeDelay(i.Jitter),
		Loss: i.Loss, Duplicate: i.Duplicate, Reorder: i.Reorder, Rate: uint64(i.Rate), Queue: uint32(i.Queue),
	}
}

func encodeDelay(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// decodeImpair returns the impairments that a message holds.
func decodeImpair(m *pb.Impairments) (c impair.Config, err error) {
	c.Seed = m.GetSeed()
	if c.In, err = decodeImpairment(m.GetIn()); err != nil {
		return c, fmt.Errorf("in: %w", err)
	}
	if c.Out, err = decodeImpairment(m.GetOut()); err != nil {
		return c, fmt.Errorf("out: %w", err)
	}
	return c, nil
}

func decodeImpairment(m *pb.Impairment) (i impair.Impairment, err error) {
	if i.Delay, err = decodeDelay(m.GetDelay()); err != nil {
		return i, fmt.Errorf("delay: %w", err)
	}
	if i.Jitter, err = decodeDelay(m.GetJitter()); err != nil {
		return i, fmt.Errorf("jitter: %w", err)
	}
	if m.GetRate() > math.MaxInt64 || m.GetQueue() > math.MaxInt32 {
		return i, fmt.Errorf("rate is %d and queue %d, want at most %d and %d", m.GetRate(), m.GetQueue(), math.MaxInt64, math.MaxInt32)
	}
	i.Loss, i.Duplicate, i.Reorder = m.GetLoss(), m.GetDuplicate(), m.GetReorder()
	i.Rate, i.Queue = int64(m.GetRate()), int(m.GetQueue())
	return i, nil
}

// decodeDelay returns the duration of d, 0 if it is nil. The switch says which are
// possible.
func decodeDelay(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	return d.AsDuration(), d.CheckValid()
}
