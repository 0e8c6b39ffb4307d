// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/cmd/vde/internal/top"
)

// topTimes are times of a topFeed that tests shorten.
type topTimes struct {
	interval time.Duration // between two sets of counters
	retry    time.Duration // between two attempts to reach the switch
	pause    time.Duration // between two lists of ports in any case
}

// usualTopTimes are those of the command.
var usualTopTimes = topTimes{interval: time.Second, retry: time.Second, pause: 200 * time.Millisecond}

// Further times of a topFeed, and the events that it begins with.
const (
	topDescribe = 2 * time.Second  // between two lists of ports when nothing happens
	topPatience = 15 * time.Second // for an answer
	topPast     = 20
)

// A topFeed gives a page what a switch tells, and does what the page asks for.
type topFeed struct {
	ctx     context.Context // of all that it does
	dial    func(context.Context) (*api.Client, error)
	send    func(tea.Msg)
	times   topTimes
	changed chan struct{} // has one element if the ports are to be listed again
	running sync.WaitGroup

	mu     sync.Mutex
	client *api.Client // guarded by mu; nil while the switch does not answer
}

// Messages of a topFeed.
type (
	statsMsg     struct{ *pb.WatchStatsResponse }
	describedMsg struct {
		about top.Switch
		ports []top.Port
	}
)

func newTopFeed(ctx context.Context, dial func(context.Context) (*api.Client, error), send func(tea.Msg), times topTimes) *topFeed {
	return &topFeed{ctx: ctx, dial: dial, send: send, times: times, changed: make(chan struct{}, 1)}
}

// start begins with a client that has been dialled.
func (f *topFeed) start(first *api.Client) {
	f.running.Go(func() { f.run(first) })
	f.running.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				f.send(clockMsg(now))
			case <-f.ctx.Done():
				return
			}
		}
	})
}

// wait waits until everything has ended after the end of the context.
func (f *topFeed) wait() { f.running.Wait() }

// run follows one client after the other.
func (f *topFeed) run(c *api.Client) {
	for c != nil {
		err := f.follow(c)
		f.use(nil)
		c.Close()
		c = f.again(err)
	}
}

// use has actions go to c.
func (f *topFeed) use(c *api.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.client = c
}

// again says that the switch is gone, and dials until it answers. It returns nil at the end.
func (f *topFeed) again(err error) *api.Client {
	for f.ctx.Err() == nil {
		f.send(goneMsg(printable(message(err).Error())))
		select {
		case <-time.After(f.times.retry):
		case <-f.ctx.Done():
			return nil
		}
		var c *api.Client
		ctx, cancel := context.WithTimeout(f.ctx, topPatience)
		c, err = f.dial(ctx)
		cancel()
		if err == nil {
			f.send(eventMsg{"vde top has reached the switch again"})
			return c
		}
	}
	return nil
}

// follow gives the page what c tells until that fails, and returns why.
func (f *topFeed) follow(c *api.Client) error {
	g, ctx := errgroup.WithContext(f.ctx)
	answer, err := c.GetSwitch(ctx, &pb.GetSwitchRequest{})
	if err != nil {
		return err
	}
	f.use(c)
	last := answer.GetSwitch().GetLastEvent()
	g.Go(func() error { return f.describe(ctx, c) })
	g.Go(func() error { return f.stats(ctx, c) })
	g.Go(func() error { return f.events(ctx, c, last-min(last, topPast)) })
	return g.Wait()
}

// stats gives the page the counters.
func (f *topFeed) stats(ctx context.Context, c *api.Client) error {
	stream, err := c.WatchStats(ctx, &pb.WatchStatsRequest{Interval: durationpb.New(f.times.interval)})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Receive()
		if err != nil {
			return endOfStream(err)
		}
		f.send(statsMsg{answer})
	}
}

func endOfStream(err error) error {
	if errors.Is(err, io.EOF) {
		return errSwitchClosed
	}
	return err
}

// events gives the page what happens.
func (f *topFeed) events(ctx context.Context, c *api.Client, after uint64) error {
	stream, err := c.WatchEvents(ctx, &pb.WatchEventsRequest{After: proto.Uint64(after)})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Receive()
		if err != nil {
			return endOfStream(err)
		}
		var lines eventMsg
		for _, e := range answer.GetEvents() {
			lines = append(lines, eventLine(e))
			if changesPorts(e.GetKind()) {
				f.describeAgain()
			}
		}
		if len(lines) > 0 {
			f.send(lines)
		}
	}
}

// changesPorts reports whether the list of ports may differ after an event of a kind that
// does not happen all the time.
func changesPorts(kind string) bool {
	switch kind {
	case "learned", "moved", "aged", "forgotten", "dropped":
		return false
	}
	return true
}

// describeAgain has the ports be listed soon.
func (f *topFeed) describeAgain() {
	select {
	case f.changed <- struct{}{}:
	default: // they will be
	}
}

// describe gives the page the ports, again and again.
func (f *topFeed) describe(ctx context.Context, c *api.Client) error {
	for {
		m, err := describeSwitch(ctx, c)
		if err != nil {
			return err
		}
		f.send(m)
		pause := time.NewTimer(f.times.pause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
		next := time.NewTimer(topDescribe - f.times.pause)
		select {
		case <-next.C:
		case <-f.changed:
		case <-ctx.Done():
		}
		next.Stop()
	}
}

// describeSwitch asks for all that the page says besides counters.
func describeSwitch(ctx context.Context, c *api.Client) (m describedMsg, err error) {
	ctx, cancel := context.WithTimeout(ctx, topPatience)
	defer cancel()
	s, err := c.GetSwitch(ctx, &pb.GetSwitchRequest{})
	if err != nil {
		return m, err
	}
	mirrors, err := c.ListMirrors(ctx, &pb.ListMirrorsRequest{})
	if err != nil {
		return m, err
	}
	to := make(map[uint32][]int)
	for _, s := range mirrors.GetMirrors() {
		to[s.GetSrc()] = append(to[s.GetSrc()], int(s.GetDst()))
	}
	m.about = topSwitch(s.GetSwitch())
	for p, err := range c.Ports(ctx, &pb.ListPortsRequest{NoStats: true, PageSize: 4096}) {
		if err != nil {
			return m, err
		}
		m.ports = append(m.ports, topPort(p, to[p.GetNumber()]))
	}
	return m, nil
}

// act does what a key asks for, and says what has come of it.
func (f *topFeed) act(a top.Action) {
	f.mu.Lock()
	c := f.client
	f.mu.Unlock()
	f.running.Go(func() {
		if c == nil {
			f.send(saidMsg{"Nothing was changed: the switch does not answer.", true})
			return
		}
		ctx, cancel := context.WithTimeout(f.ctx, topPatience)
		defer cancel()
		done, err := perform(ctx, c, a)
		if err != nil {
			f.send(saidMsg{printable(message(err).Error()), true})
			return
		}
		f.describeAgain()
		f.send(saidMsg{done, false})
	})
}

// perform changes the switch and returns what has been done, in words.
func perform(ctx context.Context, c *api.Client, a top.Action) (done string, err error) {
	port, to := proto.Uint32(uint32(a.Port)), proto.Uint32(uint32(a.To))
	switch a.Kind {
	case top.Mirror:
		_, err = c.Mirror(ctx, &pb.MirrorRequest{Src: port, Dst: to})
		return fmt.Sprintf("Port %d is mirrored to port %d.", a.Port, a.To), err
	case top.Unmirror:
		_, err = c.Unmirror(ctx, &pb.UnmirrorRequest{Src: port, Dst: to})
		return fmt.Sprintf("Port %d is no longer mirrored to port %d.", a.Port, a.To), err
	case top.Disconnect:
		_, err = c.Disconnect(ctx, &pb.DisconnectRequest{Port: port})
		return fmt.Sprintf("Port %d has been disconnected.", a.Port), err
	case top.Set:
		number := strconv.Itoa(a.Port)
		err = setPort(ctx, c, number, number+":"+a.Text)
		return fmt.Sprintf("Port %d has been set to %s.", a.Port, printable(a.Text)), err
	}
	return "", errors.ErrUnsupported
}
