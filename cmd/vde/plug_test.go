// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestCommandLine(t *testing.T) {
	for _, test := range []struct{ argv, want string }{
		{"/bin/vde plug a b", "plug a b"},
		{"/bin/vde_plug -p f a", "plug -p f a"},
		{"vde_plug", "plug"},
		{"vde plug a -v = ssh -p 22 x = y", "plug a -v -- = ssh -p 22 x = y"},
		{"vde_plug = ssh -l x", "plug -- = ssh -l x"},
		{"vde plug -- -a = x", "plug -- -a = x"},
		{"vde capture = x", "capture = x"},
		{"vde", ""},
	} {
		if got := strings.Join(commandLine(strings.Fields(test.argv)), " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.argv, got, test.want)
		}
	}
}

func TestImpairFlags(t *testing.T) {
	o := impairOptions{delay: "20ms", jitter: "1ms,2ms", loss: "0.1,0", duplicate: "0,1", reorder: "0.5", rate: "10M,1k", queue: "9", seed: 7}
	want := impair.Config{
		Seed: 7,
		Out:  impair.Impairment{Delay: 20 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.1, Reorder: 0.5, Rate: 10e6, Queue: 9},
		In:   impair.Impairment{Delay: 20 * time.Millisecond, Jitter: 2 * time.Millisecond, Duplicate: 1, Reorder: 0.5, Rate: 1e3, Queue: 9},
	}
	if got, err := o.config(); err != nil || *got != want {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
	if got, err := (&impairOptions{seed: 7}).config(); err != nil || got != nil {
		t.Errorf("without flags: %+v, %v", got, err)
	}
}

// A plugTest is two networks, each with a station, and programs that join them.
type plugTest struct {
	*testing.T
	dirs     [2]string
	stations [2]*vde.Conn
	ours     string // the program vde_plug of this SDK
}

func newPlugTest(t *testing.T) *plugTest {
	p := &plugTest{T: t}
	for i := range p.dirs {
		p.dirs[i], p.stations[i] = listenWithStation(t)
	}
	p.ours = filepath.Join(testutil.ShortDir(t), "vde_plug")
	if err := os.Symlink(testpeers.TestBinary(t), p.ours); err != nil {
		t.Fatal(err)
	}
	return p
}

// start starts a program of the test, which may start this one again as a command.
func (p *plugTest) start(cmd *exec.Cmd) (messages *bytes.Buffer) {
	p.Helper()
	messages = new(bytes.Buffer)
	cmd.Env = append(os.Environ(), commandVariable+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = messages
	cmd.WaitDelay = 10 * time.Second // for what it has started and left behind
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	return messages
}

// exchange has each station receive numbered frames from the other. The first is sent
// again until it arrives: the networks may not be joined yet.
func (p *plugTest) exchange(frames int) {
	p.Helper()
	for from, to := range []int{1, 0} {
		buf := make([]byte, 2000)
		for i := range frames {
			size := 60 + i*131%1400
			f := frame.AppendHeader(make([]byte, 0, size), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, byte(from)}, frame.EtherTypeExperimental)
			f = binary.BigEndian.AppendUint32(f, uint32(i))[:size]
			for end := time.Now().Add(time.Minute); ; {
				if _, err := p.stations[from].Write(f); err != nil {
					p.Fatal(err)
				}
				if err := p.stations[to].SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
					p.Fatal(err)
				}
				n, err := p.stations[to].Read(buf)
				for err == nil && !bytes.Equal(buf[:n], f) { // sent again, and here twice
					n, err = p.stations[to].Read(buf)
				}
				if err == nil {
					break
				}
				if time.Now().After(end) {
					p.Fatalf("frame %d from station %d: %v", i, from, err)
				}
			}
		}
	}
}

// TestPlug joins two networks in each way, with programs of this SDK and of Debian.
func TestPlug(t *testing.T) {
	testutil.NoLeaks(t)
	p := newPlugTest(t)
	const debian = "/usr/bin/vde_plug"
	a, b := p.dirs[0], p.dirs[1]
	quoted := func(words ...string) string { return strings.Join(words, " ") }
	for _, test := range []struct {
		name  string
		args  []string
		needs []string
	}{
		{"a cable", []string{p.ours, a, b}, nil},
		{"to a command", []string{p.ours, a, "=", p.ours, b}, nil},
		{"to Debian's command", []string{p.ours, a, "=", debian, b}, []string{debian}},
		{"command of Debian's", []string{debian, a, "=", p.ours, b}, []string{debian}},
		{"locator of a command", []string{p.ours, a, "cmd://" + quoted(p.ours, b)}, nil},
		{"locator of Debian's command", []string{p.ours, a, "cmd://" + quoted(debian, b)}, []string{debian}},
		{"locator of Debian's", []string{debian, a, "cmd://" + quoted(p.ours, b)}, []string{debian}},
		{"dpipe", []string{"dpipe", p.ours, a, "=", p.ours, b}, []string{"dpipe"}},
		{"dpipe, Debian's second", []string{"dpipe", p.ours, a, "=", debian, b}, []string{"dpipe", debian}},
		{"dpipe, Debian's first", []string{"dpipe", debian, a, "=", p.ours, b}, []string{"dpipe", debian}},
		{"dpipe and wirefilter", []string{"dpipe", p.ours, "--max-frame", "1521", a, "=", "wirefilter", "=", p.ours, b, "--max-frame", "1521"}, []string{"dpipe", "wirefilter"}},
		{"another environment", []string{p.ours, a, "=", "env", "-i", commandVariable + "=1", "sh", "-c", p.ours + " " + b}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range test.needs {
				if _, err := exec.LookPath(name); err != nil {
					testpeers.Skip(t, name, "install the packages of scripts/peers.sh")
				}
			}
			at := *p
			at.T = t
			cmd := exec.CommandContext(t.Context(), test.args[0], test.args[1:]...)
			messages := at.start(cmd)
			at.exchange(20)
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil && test.args[0] == p.ours {
				t.Errorf("%v\n%s", err, messages)
			}
		})
	}
}

// TestPlugStream speaks to the standard streams of a plug, as ssh and dpipe do.
func TestPlugStream(t *testing.T) {
	testutil.NoLeaks(t)
	p := newPlugTest(t)
	good := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 9}, frame.EtherTypeExperimental)
	for _, test := range []struct {
		name, in string
		status   int
		want     string // in the messages
	}{
		{"frame and end", "\x00\x0e" + string(good), 0, "to the first network         1          0"},
		{"runts", "\x00\x0d" + string(good[:13]) + "\x00\x00\x00\x0e" + string(good), 0, "to the first network         1          1"},
		{"cut", "\x00\x0e" + string(good) + "\x00\x0e1", 0, "unexpected EOF"},
		{"text", "\x00\x0e" + string(good) + "Welcome", 1, "out of step"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := *p
			at.T = t
			cmd := exec.CommandContext(t.Context(), p.ours, "-v", p.dirs[0])
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			messages := at.start(cmd)
			if _, err := io.WriteString(in, test.in); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			if err := p.stations[0].SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // a hang
				t.Fatal(err)
			}
			if n, err := p.stations[0].Read(buf); err != nil || !bytes.Equal(buf[:n], good) {
				t.Errorf("% x, %v", buf[:n], err)
			}
			in.Close()
			if _, err := io.ReadAll(out); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != test.status || !strings.Contains(messages.String(), test.want) {
				t.Errorf("%v, want status %d and %q:\n%s", err, test.status, test.want, messages)
			}
		})
	}
}

// TestPlugSharedStreams checks that the other processes that have the standard streams
// find them as they were.
func TestPlugSharedStreams(t *testing.T) {
	p := newPlugTest(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	cmd := exec.CommandContext(t.Context(), p.ours, p.dirs[0])
	cmd.Stdin, cmd.Stdout = theirs, theirs // as sshd has them
	messages := p.start(cmd)
	if err := unix.Shutdown(int(ours.Fd()), unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, messages)
	}
	if flags, err := unix.FcntlInt(theirs.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v: calls do not wait any more", flags, err)
	}
}

// TestPlugLine checks the flags of a bad line, per direction, and the file that it is
// captured in.
func TestPlugLine(t *testing.T) {
	testutil.NoLeaks(t)
	p := newPlugTest(t)
	name := filepath.Join(t.TempDir(), "line.pcapng")
	cmd := exec.CommandContext(t.Context(), p.ours, p.dirs[0], p.dirs[1], "--json", "--loss", "1,0", "--duplicate", "0,1", "--delay", "1ms", "--capture", name)
	var out bytes.Buffer
	cmd.Stdout = &out
	messages := p.start(cmd)
	receive := func(c *vde.Conn) []byte {
		buf := make([]byte, 100)
		for end := time.Now().Add(time.Minute); ; {
			broadcast(t, p.stations[0], 1)
			if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(buf)
			if err == nil {
				return buf[:n]
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	first, again := receive(p.stations[1]), receive(p.stations[1])
	if !bytes.Equal(first, again) {
		t.Errorf("% x and % x", first, again)
	}
	broadcast(t, p.stations[1], 5) // all lost, however many of them are on the line before the end
	if err := p.stations[0].SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.stations[0].Read(make([]byte, 100)); err == nil {
		t.Errorf("a frame of %d bytes came, all were to be lost", n)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, messages)
	}
	var r plugResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Line == nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for i, s := range r.Line {
		if s.Frames+s.Duplicated != s.Delivered+s.Lost+s.Partitioned+s.Overflowed+s.Refused+s.Pending {
			t.Errorf("direction %d of the line does not add up: %+v", i, s)
		}
	}
	if from, to := r.Line[0], r.Line[1]; from.Duplicated != from.Frames || from.Lost != 0 || to.Lost != to.Frames ||
		r.Conns[0].RxFrames != from.Frames || r.Passed[1].Frames != to.Frames {
		t.Errorf("%s", &out)
	}
	captured, err := os.ReadFile(name)
	if err != nil || bytes.Count(captured, first) != int(r.Conns[0].RxFrames) {
		t.Errorf("%d of %d frames are in the file: %v", bytes.Count(captured, first), r.Conns[0].RxFrames, err)
	}
}

// TestPlugReconnect kills the command of a plug, which starts it again.
func TestPlugReconnect(t *testing.T) {
	testutil.NoLeaks(t)
	p := newPlugTest(t)
	name := filepath.Join(t.TempDir(), "pids")
	cmd := exec.CommandContext(t.Context(), p.ours, p.dirs[0], "--reconnect", "=", "sh", "-c", "echo $$ >>"+name+"; exec "+p.ours+" "+p.dirs[1])
	messages := p.start(cmd)
	for round := range 3 {
		var pids []string
		for end := time.Now().Add(time.Minute); len(pids) <= round; {
			p.exchange(1) // the killed one may pass a frame before it is gone
			text, err := os.ReadFile(name)
			if err != nil || time.Now().After(end) {
				t.Fatalf("%q: %v", text, err)
			}
			pids = strings.Fields(string(text))
		}
		pid, err := strconv.Atoi(pids[round])
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	p.exchange(1)
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, messages)
	}
}

// TestPlugDaemon starts a plug in the background, which has joined when the command
// returns, and ends it by the process id that it has written.
func TestPlugDaemon(t *testing.T) {
	p := newPlugTest(t)
	name := filepath.Join(t.TempDir(), "pid")
	if out, err := p.background(nil, "-p", name, "-D", "in the background", p.dirs[0], p.dirs[1]); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	defer p.endBackground(name)
	p.exchange(2)
}

// TestPlugDaemonFails checks that what has failed in the background is told.
func TestPlugDaemonFails(t *testing.T) {
	p := newPlugTest(t)
	if out, err := p.background(nil, "/nowhere", p.dirs[1]); err == nil || !strings.Contains(out, "/nowhere") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPlugDaemonSeqpacket passes sockets on to a plug that goes to the background, with
// numbers between which others are free.
func TestPlugDaemonSeqpacket(t *testing.T) {
	p := newPlugTest(t)
	var ours [2]int
	var theirs [2]*os.File
	for i := range ours {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours[i], theirs[i] = fds[0], os.NewFile(uintptr(fds[1]), "theirs")
		defer unix.Close(ours[i])
		defer theirs[i].Close()
		if err := unix.SetsockoptTimeval(ours[i], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}); err != nil { // a hang
			t.Fatal(err)
		}
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	name := filepath.Join(t.TempDir(), "pid")
	files := []*os.File{theirs[0], nil, writer, theirs[1]}
	if out, err := p.background(files, "-p", name, "seqpacket://3", "seqpacket://6"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	defer p.endBackground(name)
	sent := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 9}, frame.EtherTypeExperimental)
	for i := range ours {
		got := make([]byte, 100)
		if _, err := unix.Write(ours[i], sent); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(ours[1-i], got); err != nil || !bytes.Equal(got[:n], sent) {
			t.Errorf("got %x, %v", got[:max(n, 0)], err)
		}
	}
	// What no locator names ends with the command, though the plug goes on.
	writer.Close()
	if err := reader.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // a hang
		t.Fatal(err)
	}
	if n, err := reader.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a pipe that was inherited: %d, %v, want its end", n, err)
	}
}

// background runs a plug with -d, which inherits files from descriptor 3 on, and returns
// what it prints.
func (p *plugTest) background(files []*os.File, args ...string) (out string, err error) {
	cmd := exec.CommandContext(p.Context(), p.ours, append([]string{"-d"}, args...)...)
	cmd.Env = append(os.Environ(), commandVariable+"=1")
	cmd.ExtraFiles = files
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// endBackground ends the process whose id is in the file name, and waits until it has.
func (p *plugTest) endBackground(name string) {
	t := p.T
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	process, err := unix.PidfdOpen(pid, 0) // it is no child of ours
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	if err := unix.PidfdSendSignal(process, unix.SIGTERM, nil, 0); err != nil {
		t.Fatal(err)
	}
	fds := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
	for n := 0; n == 0; {
		if n, err = unix.Poll(fds, 60_000); n == 0 && err == nil {
			t.Fatal("the process does not end")
		} else if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		n = max(n, 0)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("the file with the process id: %v", err)
	}
}

// TestPlugCommandEnds checks that the status is 0 when a command ends, as that of
// vde_plug, and that its failure is told.
func TestPlugCommandEnds(t *testing.T) {
	p := newPlugTest(t)
	for _, test := range [][]string{{"exit 0", ""}, {"exit 3", "exit status 3"}} {
		cmd := exec.CommandContext(t.Context(), p.ours, p.dirs[0], "=", "sh", "-c", "cat /dev/null; "+test[0])
		messages := p.start(cmd)
		if err := cmd.Wait(); err != nil || !strings.Contains(messages.String(), test[1]) || test[1] == "" && messages.Len() > 0 {
			t.Errorf("%q: %v\n%s", test, err, messages)
		}
	}
}
