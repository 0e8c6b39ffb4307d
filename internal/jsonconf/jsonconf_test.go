// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package jsonconf_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/jsonconf"
)

// A config has its JSON methods written as the package's documentation says.
type config struct {
	Name      string
	Wait, Age time.Duration
	Port      struct{ Queue int }
	Hook      func() `json:"-"`
}

func (c config) MarshalJSON() ([]byte, error) {
	type plain config
	return json.Marshal(struct {
		plain
		Wait, Age jsonconf.Duration
	}{plain(c), jsonconf.Duration(c.Wait), jsonconf.Duration(c.Age)})
}

func (c *config) UnmarshalJSON(b []byte) error {
	type plain config
	v := struct {
		*plain
		Wait, Age *jsonconf.Duration
	}{(*plain)(c), (*jsonconf.Duration)(&c.Wait), (*jsonconf.Duration)(&c.Age)}
	return json.Unmarshal(b, &v)
}

func Example() {
	c := config{Name: "uplink", Wait: 1500 * time.Microsecond, Age: 5 * time.Minute}
	b, err := json.Marshal(c)
	fmt.Println(string(b), err)
	err = json.Unmarshal([]byte(`{"Wait":"2s","Port":{"Queue":8}}`), &c)
	fmt.Println(c.Name, c.Wait, c.Age, c.Port.Queue, err)
	// Output:
	// {"Name":"uplink","Port":{"Queue":0},"Wait":"1.5ms","Age":"5m0s"} <nil>
	// uplink 2s 5m0s 8 <nil>
}

func TestRoundTrip(t *testing.T) {
	for _, d := range []time.Duration{0, 1, -1, time.Millisecond, 90 * time.Second, math.MaxInt64, math.MinInt64} {
		b, err := json.Marshal(config{Wait: d})
		if err != nil {
			t.Fatal(err)
		}
		var got config
		if err := json.Unmarshal(b, &got); err != nil || got.Wait != d {
			t.Errorf("%v: %s became %v, %v", d, b, got.Wait, err)
		}
	}
}

// TestMode checks permissions against their text.
func TestMode(t *testing.T) {
	for text, want := range map[string]fs.FileMode{
		"00": 0, "0640": 0o640, "02770": 0o770 | fs.ModeSetgid, "01777": 0o777 | fs.ModeSticky, "03700": 0o700 | fs.ModeSetgid | fs.ModeSticky,
	} {
		b, err := jsonconf.Mode(want).MarshalText()
		if err != nil || string(b) != text {
			t.Errorf("%v is %q, %v, want %q", want, b, err, text)
		}
		var m jsonconf.Mode
		if err := m.UnmarshalText([]byte(text)); err != nil || fs.FileMode(m) != want {
			t.Errorf("%q became %v, %v, want %v", text, fs.FileMode(m), err, want)
		}
	}
	for _, bad := range []string{"", "4000", "-1", "8", "0o700", "rwx"} {
		m := jsonconf.Mode(0o600)
		if err := m.UnmarshalText([]byte(bad)); err == nil || fs.FileMode(m) != 0o600 {
			t.Errorf("%q became %v, %v", bad, fs.FileMode(m), err)
		}
	}
	if m, ok := jsonconf.ParseMode("1000", 0o777); ok {
		t.Errorf("1000 of at most 0777 became %v", m)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for _, bad := range []string{`""`, `"5"`, `"soon"`, "5000000"} {
		c := config{Wait: time.Second}
		err := json.Unmarshal([]byte(`{"Wait":`+bad+"}"), &c)
		if err == nil || c.Wait != time.Second {
			t.Errorf("%s became %v", bad, c.Wait)
		}
		if err != nil && strings.HasPrefix(bad, `"`) && !strings.Contains(err.Error(), "1m30s") {
			t.Errorf("%s: %v does not say what is wanted", bad, err)
		}
	}
}
