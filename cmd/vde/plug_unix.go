// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/syslog"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/links/vdestream"
)

// hasTerminal reports whether there is a terminal for commands to ask on.
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err == nil {
		f.Close()
	}
	return err == nil
}

// streams closes what stands for the standard streams and has them as they were.
type streams []*stream

func (s streams) Close() error {
	var err error
	for _, one := range s {
		err = errors.Join(err, one.Close())
	}
	return err
}

// A stream is a standard stream that can be closed while a call waits on it.
type stream struct {
	*os.File
	was *os.File // has to be made blocking again; nil: not
}

// Close closes the stream.
func (s *stream) Close() error {
	err := s.File.Close()
	if s.was != nil {
		err = errors.Join(err, unix.SetNonblock(int(s.was.Fd()), false))
	}
	return err
}

// standardStreams returns the standard input and output as one connection.
func standardStreams(pipeSize int) (p vdestream.Pipes, err error) {
	in, err := openStream(os.Stdin, os.O_RDONLY)
	if err != nil {
		return p, err
	}
	out, err := openStream(os.Stdout, os.O_WRONLY)
	if err != nil {
		return p, errors.Join(err, in.Close())
	}
	setPipeSize(os.Stdout, pipeSize)
	return vdestream.Pipes{In: in, Out: out, Closer: streams{in, out}}, nil
}

// openStream opens a standard stream so that calls on it wait on the poller. Whether
// calls wait is a property of the open file, which other processes may have too, so a
// pipe is opened again, and what cannot be is made as it was when it is closed.
func openStream(f *os.File, flag int) (*stream, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Mode()&fs.ModeNamedPipe != 0 {
		if again, err := os.OpenFile("/dev/fd/"+strconv.Itoa(int(f.Fd())), flag|unix.O_NONBLOCK, 0); err == nil {
			return &stream{File: again}, nil
		}
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	s := &stream{}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK == 0 && fi.Mode()&(fs.ModeSocket|fs.ModeCharDevice|fs.ModeNamedPipe) != 0 {
		if err := unix.SetNonblock(fd, true); err == nil {
			s.was = f
		}
	}
	s.File = os.NewFile(uintptr(fd), f.Name())
	return s, nil
}

// daemonOptions are the flags of vde_plug about processes.
type daemonOptions struct {
	daemon  bool
	pidFile string
	log     bool
	ipLog   bool

	background bool // this is the process in the background
	joined     int  // the descriptor on which that says that both sides are joined
}

func (o *daemonOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&o.daemon, "daemon", "d", false, "go on in the background once both sides are joined")
	f.StringVarP(&o.pidFile, "pidfile", "p", "", "file to write the process id to; links and files of other users are refused")
	f.BoolVarP(&o.log, "log", "l", false, "log the beginning and the end in the system's log")
	f.BoolVarP(&o.ipLog, "iplog", "L", false, "--log; for the addresses used, capture instead")
	cobra.CheckErr(f.MarkHidden("iplog"))
}

// daemonVariable tells the process in the background that it is the one, and the number of
// the descriptor on which it says that both sides are joined.
const daemonVariable = "VDE_PLUG_DAEMON"

// start starts this command again in the background, if that is wanted, and waits
// until both sides are joined. It then returns true.
func (o *daemonOptions) start(streams bool) (started bool, err error) {
	if o.ipLog {
		return false, usageErrorf("--iplog is not supported: use --log, and --capture to record all frames")
	}
	if !o.daemon {
		return false, nil
	}
	if text := os.Getenv(daemonVariable); text != "" {
		if o.joined, err = strconv.Atoi(text); err != nil {
			return false, fmt.Errorf("%s is for vde plug -d itself: %w", daemonVariable, err)
		}
		o.background = true
		unix.CloseOnExec(o.joined)
		return false, os.Unsetenv(daemonVariable) // for commands
	}
	files := inheritedPackets()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	program, err := os.Executable()
	if err != nil {
		return false, err
	}
	joined, theirs, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer joined.Close()
	files = append(files, theirs)
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", daemonVariable, 2+len(files)))
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, files
	if streams {
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return false, err
	}
	if n, _ := joined.Read(make([]byte, 1)); n == 1 {
		return true, cmd.Process.Release()
	}
	if err = cmd.Wait(); err == nil {
		err = errors.New("it ended before both sides were joined")
	}
	return true, fmt.Errorf("in the background: %w", err)
}

// ready says that both sides are joined. Call ended at the end.
func (o *daemonOptions) ready() (ended func(), err error) {
	var undo []func()
	ended = func() {
		for _, f := range undo {
			f()
		}
	}
	if o.pidFile != "" {
		remove, err := writePidFile(o.pidFile)
		if err != nil {
			return nil, err
		}
		undo = append(undo, remove)
	}
	if o.log {
		w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "vde_plug")
		if err != nil {
			ended()
			return nil, fmt.Errorf("--log: the system's log: %w", err)
		}
		_ = w.Info("START") // a log that is full is no reason to end
		undo = append(undo, func() { _ = w.Info("STOP"); w.Close() })
	}
	if o.background {
		return ended, o.detach()
	}
	return ended, nil
}

// detach tells the process that started this one that all is well, and lets go of its
// standard error.
func (o *daemonOptions) detach() error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	joined := os.NewFile(uintptr(o.joined), "joined")
	defer joined.Close()
	if err := dup2(int(null.Fd()), 2); err != nil {
		return err
	}
	_, err = joined.Write([]byte{1})
	return err
}
