// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-vde/sdk/internal/jsonconf"
)

// A RedialPolicy says how a link made by [Redial] comes back after its end. The
// zero value tries for ever, with pauses of up to 5 seconds, and lets sends wait.
type RedialPolicy struct {
	// MinDelay and MaxDelay bound the pauses between attempts (defaults, for 0,
	// 50 milliseconds and 5 seconds). The pause doubles from one to the other;
	// each is shortened by a random part of up to a half, so that the endpoints
	// of a switch do not come back all at once.
	MinDelay, MaxDelay time.Duration

	// MaxAttempts and MaxOutage are when to give up: after so many failed
	// attempts in a row, or when the outage has lasted so long. 0 is never.
	MaxAttempts int
	MaxOutage   time.Duration

	// FailWrites makes sends fail with [ErrDown] during an outage. Without it
	// they wait, until the write deadline or Close; sends that do not wait fail
	// in any case.
	FailWrites bool

	// FirstDial covers the first attempt too: the link begins down, and comes up
	// when an attempt succeeds. Without it the failure of the first attempt is
	// that of Redial.
	FirstDial bool
}

// MarshalJSON writes the durations as text, as in "50ms".
func (p RedialPolicy) MarshalJSON() ([]byte, error) {
	type plain RedialPolicy
	return json.Marshal(struct {
		plain
		MinDelay, MaxDelay, MaxOutage jsonconf.Duration
	}{plain(p), jsonconf.Duration(p.MinDelay), jsonconf.Duration(p.MaxDelay), jsonconf.Duration(p.MaxOutage)})
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that b does not mention keep
// their value.
func (p *RedialPolicy) UnmarshalJSON(b []byte) error {
	type plain RedialPolicy
	v := struct {
		*plain
		MinDelay, MaxDelay, MaxOutage *jsonconf.Duration
	}{(*plain)(p), (*jsonconf.Duration)(&p.MinDelay), (*jsonconf.Duration)(&p.MaxDelay), (*jsonconf.Duration)(&p.MaxOutage)}
	return json.Unmarshal(b, &v)
}

// Defaults returns p with its defaults filled in, or what is wrong with it.
func (p RedialPolicy) Defaults() (RedialPolicy, error) {
	if p.MinDelay == 0 {
		p.MinDelay = 50 * time.Millisecond
	}
	if p.MaxDelay == 0 {
		p.MaxDelay = max(5*time.Second, p.MinDelay)
	}
	switch {
	case p.MinDelay < 0 || p.MaxDelay < p.MinDelay:
		return p, fmt.Errorf("delays of %v to %v between attempts: give a positive MinDelay that is not above MaxDelay", p.MinDelay, p.MaxDelay)
	case p.MaxAttempts < 0:
		return p, fmt.Errorf("%d attempts: give a positive MaxAttempts, or 0 for no limit", p.MaxAttempts)
	case p.MaxOutage < 0:
		return p, fmt.Errorf("an outage of %v: give a positive MaxOutage, or 0 for no limit", p.MaxOutage)
	}
	return p, nil
}

// delay returns the pause before the given attempt, counted from 1.
func (p RedialPolicy) delay(attempt int) time.Duration {
	d := p.MinDelay
	for ; attempt > 1 && d < p.MaxDelay; attempt-- {
		if d > p.MaxDelay/2 {
			d = p.MaxDelay // twice as much may be more than a Duration holds
			break
		}
		d *= 2
	}
	d = min(d, p.MaxDelay)
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}

// exhausted reports whether to give up after so many failed attempts and so long
// an outage.
func (p RedialPolicy) exhausted(attempts int, outage time.Duration) bool {
	return p.MaxAttempts > 0 && attempts >= p.MaxAttempts || p.MaxOutage > 0 && outage >= p.MaxOutage
}
