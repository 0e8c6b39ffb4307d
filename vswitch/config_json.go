// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-vde/sdk/internal/jsonconf"
)

// A textDuration is a duration whose text form is that of [time.Duration], or
// "forever".
type textDuration time.Duration

func (d textDuration) MarshalText() ([]byte, error) {
	if d < 0 {
		return []byte("forever"), nil
	}
	return []byte(time.Duration(d).String()), nil
}

func (d *textDuration) UnmarshalText(b []byte) error {
	if string(b) == "forever" {
		*d = textDuration(Forever)
		return nil
	}
	var v jsonconf.Duration
	if err := v.UnmarshalText(b); err != nil {
		return err
	}
	if v < 0 {
		return fmt.Errorf("negative duration %q, want a positive one or forever", b)
	}
	*d = textDuration(v)
	return nil
}

type (
	plainConfig     Config
	plainPortConfig PortConfig
)

// A configJSON is a Config whose fields without a text form of their own are
// replaced.
type configJSON struct {
	plainConfig

	AgeingTime       textDuration  `json:",omitzero"`
	HandshakeTimeout textDuration  `json:",omitzero"`
	LoopInterval     textDuration  `json:",omitzero"`
	Mode             jsonconf.Mode `json:",omitzero"`
	DirMode          jsonconf.Mode `json:",omitzero"`
}

// MarshalJSON implements [json.Marshaler]: durations and permissions are text,
// Admit and Logger are left out.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(configJSON{
		plainConfig: plainConfig(c),
		AgeingTime:  textDuration(c.AgeingTime), HandshakeTimeout: textDuration(c.HandshakeTimeout),
		LoopInterval: textDuration(c.LoopInterval),
		Mode:         jsonconf.Mode(c.Mode), DirMode: jsonconf.Mode(c.DirMode),
	})
}

// UnmarshalJSON implements [json.Unmarshaler]. Fields that are not in b keep
// their values.
func (c *Config) UnmarshalJSON(b []byte) error {
	v := configJSON{
		plainConfig: plainConfig(*c),
		AgeingTime:  textDuration(c.AgeingTime), HandshakeTimeout: textDuration(c.HandshakeTimeout),
		LoopInterval: textDuration(c.LoopInterval),
		Mode:         jsonconf.Mode(c.Mode), DirMode: jsonconf.Mode(c.DirMode),
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*c = Config(v.plainConfig)
	c.AgeingTime, c.HandshakeTimeout = time.Duration(v.AgeingTime), time.Duration(v.HandshakeTimeout)
	c.LoopInterval = time.Duration(v.LoopInterval)
	c.Mode, c.DirMode = fs.FileMode(v.Mode), fs.FileMode(v.DirMode)
	return nil
}

// A portConfigJSON is a PortConfig whose fields without a text form of their own
// are replaced.
type portConfigJSON struct {
	plainPortConfig

	Wait textDuration `json:",omitzero"`
}

// MarshalJSON implements [json.Marshaler]: Wait is text.
func (c PortConfig) MarshalJSON() ([]byte, error) {
	return json.Marshal(portConfigJSON{plainPortConfig(c), textDuration(c.Wait)})
}

// UnmarshalJSON implements [json.Unmarshaler]. Fields that are not in b keep
// their values.
func (c *PortConfig) UnmarshalJSON(b []byte) error {
	v := portConfigJSON{plainPortConfig(*c), textDuration(c.Wait)}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*c = PortConfig(v.plainPortConfig)
	c.Wait = time.Duration(v.Wait)
	return nil
}
