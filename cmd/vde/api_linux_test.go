// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/testutil"
)

// getSwitch asks the switch at target to describe itself.
func getSwitch(t *testing.T, target string) *pb.Switch {
	t.Helper()
	c, err := api.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := c.GetSwitch(t.Context(), &pb.GetSwitchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetSwitch()
}

// TestSwitchAPI checks where a switch serves its API, who may use it, and that the socket
// is gone when the switch has ended, and the control directory with it.
func TestSwitchAPI(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		socket string // below the test's directory
		mode   fs.FileMode
	}{
		{"default", nil, "ctl/api", 0o600},
		{"mode", []string{"--api-mode", "0660", "--api-group", strconv.Itoa(os.Getegid())}, "ctl/api", 0o660},
		{"path", []string{"--api", "own"}, "own", 0o600},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := testutil.ShortDir(t)
			t.Chdir(dir)
			_, stop := startSwitch(t, append([]string{"ctl", "--ports", "9"}, c.args...)...)
			if info, err := os.Lstat(c.socket); err != nil || info.Mode() != fs.ModeSocket|c.mode {
				t.Fatalf("the socket is %v, %v", info, err)
			}
			target := filepath.Join(dir, c.socket)
			if c.socket == "ctl/api" {
				target = filepath.Join(dir, "ctl")
			}
			s := getSwitch(t, target)
			if s.GetConfig().GetNumPorts() != 9 || s.GetReadOnly() || len(s.GetDirs()) != 1 || s.GetDirs()[0] != filepath.Join(dir, "ctl") {
				t.Errorf("the switch is %v", s)
			}
			stop()
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestSwitchNoAPI(t *testing.T) {
	dir := filepath.Join(testutil.ShortDir(t), "ctl")
	startSwitch(t, dir, "--no-api")
	if _, err := os.Lstat(filepath.Join(dir, "api")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
	if c, err := api.Dial(t.Context(), dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Dial returned %v, %v", c, err)
	}
}

// wantPage checks that there is a page at url.
func wantPage(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(b), "<title>VDE switch</title>") {
		t.Errorf("%s: %s, %v\n%s", url, r.Status, err, b)
	}
}

// TestSwitchHTTP checks the URL that is printed, that changes need a flag, and the token
// in a file.
func TestSwitchHTTP(t *testing.T) {
	url := regexp.MustCompile(`The switch is shown at (http://\S+)`)
	dir := testutil.ShortDir(t)
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		token string
		code  connect.Code // of a change
	}{
		{nil, "", connect.CodePermissionDenied},
		{[]string{"--http", "0"}, "", connect.CodePermissionDenied}, // a port alone is one of this machine
		{[]string{"--http-write"}, "", 0},
		{[]string{"--http-token-file", file}, "0123456789abcdef", connect.CodePermissionDenied},
	} {
		log, stop := startSwitch(t, append([]string{filepath.Join(dir, "ctl"), "--no-api", "--http", "127.0.0.1:0"}, c.args...)...)
		m := url.FindStringSubmatch(log.String())
		if m == nil {
			t.Fatalf("no URL in %s", log)
		}
		target := m[1] + c.token
		wantPage(t, m[1])
		s := getSwitch(t, target)
		if s.GetReadOnly() != (c.code != 0) {
			t.Errorf("%v: read only %v", c.args, s.GetReadOnly())
		}
		client, err := api.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = client.FlushFDB(t.Context(), &pb.FlushFDBRequest{}); err == nil != (c.code == 0) || err != nil && connect.CodeOf(err) != c.code {
			t.Errorf("%v: a change returned %v", c.args, err)
		}
		client.Close()
		if _, err := api.Dial(t.Context(), strings.TrimSuffix(target, target[len(target)-1:])); connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%v: with a token cut short: %v", c.args, err)
		}
		stop()
	}
}

func TestSwitchAPIUsage(t *testing.T) {
	dir := testutil.ShortDir(t)
	open, short := filepath.Join(dir, "open"), filepath.Join(dir, "short")
	for name, text := range map[string]string{open: "0123456789abcdef\n", short: "0123456789abcde\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"--http-write", "belong to --http"},
		{"--no-api --api x", "--no-api goes with none"},
		{"--api-mode 8", "--api-mode"},
		{"--http 0.0.0.0:0", "--http-token-file"},
		{"--http [::]:0", "--http-token-file"},
		{"--http nonsense", "--http"},
		{"--http 127.0.0.1:0 --http-token-file " + open, "chmod o="},
		{"--http 127.0.0.1:0 --http-token-file " + short, "15 characters"},
		{"--api " + dir + "/none/api", "none"},
		{"--api-group nosuchgroup", "nosuchgroup"},
	} {
		root := newRoot()
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		ctl := filepath.Join(dir, "ctl")
		root.SetArgs(append([]string{"switch", ctl}, strings.Fields(c.args)...))
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.args, err, c.want)
		}
		if _, err := os.Stat(ctl); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the control directory is left: %v", c.args, err)
		}
	}
}
