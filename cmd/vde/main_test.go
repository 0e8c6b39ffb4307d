// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// commandVariable makes a copy of this test program the command itself.
const commandVariable = "VDE_TEST_COMMAND"

// execute runs the command line args and returns what it prints.
func execute(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(commandLine(append([]string{"vde"}, args...)))
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

// listen has sw serve the control directory dir until the end of the test, and
// returns dir.
func listen(t *testing.T, sw *vswitch.Switch, dir string) string {
	t.Helper()
	listener, err := sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go listener.Serve(t.Context())
	return dir
}

// listenWithStation serves a switch to which other is attached, until the test ends.
func listenWithStation(t *testing.T) (dir string, other *vde.Conn) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	other, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw")), other
}

func TestDemo(t *testing.T) {
	testutil.NoLeaks(t)
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"demo", "--size", "3"}, []string{
			`(?m)^3145728 bytes in [\d.]+ s, [\d.]+ Gbit/s\.$`,
			`(?m)^ *server +\d+ +[\d.]+ +\d+ +[\d.]+ +\d+ +0 *$`,
			`(?m)^ *client +\d+ +[\d.]+ +\d+ +[\d.]+ +0 +0 *$`,
			`(?m)^0 frames were dropped`,
		}},
		{[]string{"demo", "--size", "3", "--mtu", "9000"}, []string{
			`(?m)^3145728 bytes in`,
			`(?m)^ *client +\d+ +[\d.]+ +\d+ `,
		}},
		{[]string{"demo", "frames", "--frames", "2000"}, []string{
			`(?m)^ *1 +endpoint a \(in-process\) +1 +2001 `,
			`(?m)^ *2 +endpoint b \(shared-memory\) +1 +2001 `,
			`(?m)^ *a to b +in process to outside +2000 +\d+ +\d+ +\d+ +\d+\.\d\d *$`,
			`(?m)^\d+ frames in [\d.]+ s, \d+ lost, 0 out of order\. The switch counts \d+ drops\.$`,
		}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Setenv("TMPDIR", testutil.ShortDir(t))
			out, err := execute(t.Context(), append(test.args, "--quiet")...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range test.want {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("the output lacks %s:\n%s", want, out)
				}
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left in the temporary directory: %v, %v", left, err)
			}
		})
	}
}

func TestDemoStopsWhenTold(t *testing.T) {
	testutil.NoLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"demo", "--quiet"}, {"demo", "frames", "--quiet"}} {
		if out, err := execute(ctx, args...); err == nil {
			t.Errorf("%v: no error:\n%s", args, out)
		}
	}
}

// A hostTest is a switch with a host that serves files, and a directory that others
// download to.
type hostTest struct {
	*testing.T
	net     string // the switch's control directory
	files   string // with the file image and a link
	got     string // with the file secret, where the link leads
	content []byte // of image
}

func newHostTest(t *testing.T) *hostTest {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw"))
	h := &hostTest{t, dir, t.TempDir(), t.TempDir(), make([]byte, 5<<20)}
	rand.NewChaCha8([32]byte{1}).Read(h.content)
	if err := errors.Join(
		os.WriteFile(filepath.Join(h.files, "image"), h.content, 0o600),
		os.WriteFile(filepath.Join(h.got, "secret"), nil, 0o600),
		os.Symlink(filepath.Join(h.got, "secret"), filepath.Join(h.files, "a link")),
	); err != nil {
		t.Fatal(err)
	}
	return h
}

// serve runs vde serve until stop is called, which returns its error.
func (h *hostTest) serve() (stop func() error) {
	h.Helper()
	ctx, cancel := context.WithCancel(h.Context())
	h.Cleanup(cancel)
	out, w := io.Pipe()
	server := newRoot()
	server.SetOut(w)
	server.SetArgs([]string{"serve", h.files, "--net", h.net, "--addr", "10.0.0.1/24", "--port", "8080"})
	served := make(chan error, 1)
	go func() {
		served <- server.ExecuteContext(ctx)
		w.Close()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		h.Fatal(<-served)
	}
	if want := "Serving " + h.files + " at http://10.0.0.1:8080/"; lines.Text() != want {
		h.Errorf("%q, want %q", lines.Text(), want)
	}
	go io.Copy(io.Discard, out)
	return func() error {
		cancel()
		return <-served
	}
}

// run runs the command line args as another host.
func (h *hostTest) run(args ...string) (string, error) {
	return execute(h.Context(), append(args, "--net", h.net, "--addr", "10.0.0.2/24")...)
}

// TestHosts lets one host serve a directory, and others download from it and
// ping it, all through the control directory of one switch.
func TestHosts(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHostTest(t)
	stop := h.serve()
	h.testGet()
	h.testGetErrors()
	h.testPing()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func (h *hostTest) testGet() {
	target := filepath.Join(h.got, "copy")
	text, err := h.run("get", "http://10.0.0.1:8080/image", "-o", target)
	if err != nil {
		h.Fatalf("%v\n%s", err, text)
	}
	if copied, err := os.ReadFile(target); err != nil || !bytes.Equal(copied, h.content) {
		h.Errorf("the copy differs: %d bytes, %v", len(copied), err)
	}
	if !strings.Contains(text, "5242880 bytes in ") || !strings.Contains(text, "retransmits") {
		h.Errorf("no figures:\n%s", text)
	}
	if text, err := h.run("get", "http://10.0.0.1:8080/image", "-q", "-o", "-"); err != nil || text != string(h.content) {
		h.Errorf("on the standard output: %d bytes, %v", len(text), err)
	}
}

func (h *hostTest) testGetErrors() {
	for _, test := range []struct {
		url, output string
		want        string // in the error
	}{
		{"http://10.0.0.1:8080/nothing", "x", "404"},
		{"http://10.0.0.1:8080/a%20link", "x", "the server says"},
		{"http://10.0.0.1:8081/image", "x", "connection refused"},
		{"http://10.0.0.1:8080/", "", "give --output"},
		{"http://10.0.0.1:8080/image", "missing/x", "no such file"},
		{"http://10.0.0.1:8080/image", ".", "is a directory"},
	} {
		output := test.output
		if output != "" {
			output = filepath.Join(h.got, output)
		}
		text, err := h.run("get", test.url, "-o", output)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			h.Errorf("get %s -o %s: %v, want an error with %q\n%s", test.url, output, err, test.want, text)
		}
	}
	if left, err := os.ReadDir(h.got); err != nil || len(left) != 2 {
		h.Errorf("left beside the copy: %v, %v", left, err)
	}
}

func (h *hostTest) testPing() {
	text, err := h.run("ping", "10.0.0.1", "-c", "3", "-i", "1ms", "-s", "1000")
	if err != nil || strings.Count(text, "1008 bytes from 10.0.0.1: seq=") != 3 || !strings.Contains(text, "3 sent, 3 answered; round trip min/mean/max") {
		h.Errorf("ping: %v\n%s", err, text)
	}
	text, err = h.run("ping", "10.0.0.9", "-c", "2", "-i", "1ms", "-W", "20ms")
	if err == nil || !strings.Contains(err.Error(), "no reply from 10.0.0.9") || !strings.Contains(text, "2 sent, 0 answered") {
		h.Errorf("ping of an address without a host: %v\n%s", err, text)
	}
}

// TestHostsNoticeTheEnd checks that commands that run until told end with the
// network.
func TestHostsNoticeTheEnd(t *testing.T) {
	testutil.NoLeaks(t)
	for _, args := range [][]string{
		{"serve", "."},
		{"ping", "10.0.0.2", "-i", "1ms"},
	} {
		sw := vswitch.New(vswitch.Config{})
		dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw"))
		out, w := io.Pipe()
		root := newRoot()
		root.SetOut(w)
		root.SetArgs(append(args, "--net", dir, "--addr", "10.0.0.2/24"))
		ended := make(chan error, 1)
		go func() {
			ended <- root.ExecuteContext(t.Context())
			w.Close()
		}()
		if !bufio.NewScanner(out).Scan() {
			t.Fatal(<-ended)
		}
		go io.Copy(io.Discard, out)
		sw.Close()
		if err := <-ended; !errors.Is(err, vde.ErrHangup) {
			t.Errorf("%v: %v, want ErrHangup", args, err)
		}
	}
}

func TestSwitchServesUntilTold(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	log, w := io.Pipe()
	root := newRoot()
	root.SetErr(w)
	root.SetArgs([]string{"switch", dir, "--log", "info"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- root.ExecuteContext(ctx)
		w.Close()
	}()
	lines := bufio.NewScanner(log)
	if !lines.Scan() { // the first line says that it serves
		t.Fatal(<-done)
	}
	go func() {
		for lines.Scan() {
		}
	}()
	c, err := vde.Open(ctx, dir)
	if err != nil {
		t.Fatalf("%v (log: %s)", err, lines.Text())
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, frame.MinLen)); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-c.Context().Done()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestBadArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // in the error
	}{
		{[]string{"switch"}, "give the control directory DIR"},
		{[]string{"switch", "x", "--log", "loud"}, "give debug, info, warn or error"},
		{[]string{"switch", "x", "--policy", "hope"}, "unknown policy"},
		{[]string{"switch", "x", "--mode", "999"}, "octal"},
		{[]string{"switch", "x", "--dirmode", "7777"}, "octal"},
		{[]string{"switch", "x", "--ports", "-1"}, "--ports -1: give 1 to 8388607"},
		{[]string{"switch", "x", "--max-frame", "5"}, "--max-frame 5: give 18 to"},
		{[]string{"switch", "x", "--wait", "-1s"}, "--wait -1s: give a positive time"},
		{[]string{"switch", "x", "--link", "8388608=/x"}, "give a port from 1 to 8388607"},
		{[]string{"switch", "x", "--link", "0=/x"}, "give a port from 1"},
		{[]string{"switch", "x", "--link", "3="}, "give a locator"},
		{[]string{"switch", "x", "--link", "9=/x", "-n", "8"}, "the highest port is 8"},
		{[]string{"switch", "x", "--port", "lan:vlan=3"}, "give a port from 0"},
		{[]string{"switch", "x", "--port", "9:vlan=3", "-n", "8"}, "the highest port is 8"},
		{[]string{"switch", "x", "--port", "3:vlan=4095"}, "give a number from 0 to 4094, or none"},
		{[]string{"switch", "x", "--port", "3:tagged=5+x"}, "give 0 to 4094"},
		{[]string{"switch", "x", "--port", "3:loops=some"}, "unknown loop protection"},
		{[]string{"switch", "x", "--port", "3"}, "unknown setting"},
		{[]string{"demo", "--size", "0"}, "--size 0"},
		{[]string{"demo", "--mtu", "67"}, "--mtu 67"},
		{[]string{"demo", "frames", "--size", "10"}, "--size 10"},
		{[]string{"demo", "frames", "--frames", "0"}, "--frames 0"},
		{[]string{"get", "http://10.0.0.1/x"}, "give --addr"},
		{[]string{"get", "http://10.0.0.1/x", "--addr", "10.0.0.2"}, "length of its network"},
		{[]string{"get", "http://10.0.0.1/x", "--addr", "10.0.0.2/24", "--mtu", "70000"}, "--mtu 70000"},
		{[]string{"get", "http://10.0.0.1/x", "--addr", "10.0.0.2/24", "--dns", "x"}, "--dns"},
		{[]string{"get", "http://10.0.0.1/x", "--addr", "10.0.0.2/24", "--gateway", "x"}, "--gateway"},
		{[]string{"get", "http://10.0.0.1/x", "--addr", "10.0.0.2/24", "--mac", "x"}, "--mac"},
		{[]string{"get", "http://10.0.0.1/x", "--addr", "10.0.0.2/24", "--net", "/nowhere"}, "/nowhere"},
		{[]string{"serve", "/nowhere", "--addr", "10.0.0.2/24"}, "/nowhere"},
		{[]string{"ping", "host", "--addr", "10.0.0.2/24"}, "give an IP address"},
		{[]string{"ping", "10.0.0.1", "--addr", "10.0.0.2/24", "-s", "70000"}, "--size 70000"},
		{[]string{"ping", "10.0.0.1", "--addr", "10.0.0.2/24", "-c", "-1"}, "--count -1"},
		{[]string{"ping", "10.0.0.1", "--addr", "10.0.0.2/24", "-i", "0"}, "--interval"},
		{[]string{"dance"}, "unknown command"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // what is not refused may go on
		_, err := execute(ctx, test.args...)
		cancel()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("vde %s: %v, want an error with %q", strings.Join(test.args, " "), err, test.want)
		}
	}
}

func TestHelpAndCompletion(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--help"}, "demo"},
		{[]string{"switch", "--help"}, "--policy"},
		{[]string{"completion", "bash"}, "__start_vde"},
		{[]string{"__complete", "switch", "x", "--policy", ""}, "head-drop"},
	} {
		out, err := execute(t.Context(), test.args...)
		if err != nil || !strings.Contains(out, test.want) {
			t.Errorf("vde %s: %v, want %q in:\n%s", strings.Join(test.args, " "), err, test.want, out)
		}
	}
}
