// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
)

// echoSocket names, in the environment of a process that answers for a benchmark,
// the descriptor by which an offer comes.
const echoSocket = "SHM_TEST_ECHO"

func init() {
	fd, err := strconv.Atoi(os.Getenv(echoSocket))
	if err != nil {
		return
	}
	b, oob := make([]byte, 1), make([]byte, transport.RightsLen)
	_, n, _, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
	e, _, attach, e1 := Accept(transport.AppendDescriptors(nil, oob[:n]), FeatureRings)
	e2 := unix.Sendmsg(fd, b, unix.UnixRights(attach...), nil, 0)
	if err := errors.Join(err, e1, e2); err != nil || e == nil {
		os.Exit(1)
	}
	e.SameProcess() // do not poll
	for s := newSlab(1514); err == nil; {
		if _, err = e.Recv(s.rx(maxBatch)); err == nil {
			_, _, err = e.Send(short)
		}
	}
	os.Exit(0)
}

// BenchmarkPaced asks another process 1000 questions a second: each wakes a receive
// that sleeps, and so does its answer.
func BenchmarkPaced(b *testing.B) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), echoSocket+"=3"), []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	theirs.Close()
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	o, err := NewOffer(FeatureRings, 1514)
	if err != nil {
		b.Fatal(err)
	}
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(o.Descriptors()...), nil, 0); err != nil {
		b.Fatal(err)
	}
	oob := make([]byte, transport.RightsLen)
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	unix.Close(pair[0])
	client, _, e1 := o.Taken(transport.AppendDescriptors(nil, oob[:n]))
	if err := errors.Join(err, e1); err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	client.SameProcess() // do not poll

	s := newSlab(1514)
	var before, after unix.Rusage
	var times []time.Duration
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	next := time.Now()
	for b.Loop() {
		next = next.Add(time.Millisecond)
		time.Sleep(time.Until(next))
		begin := time.Now()
		if _, _, err := client.Send(short); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Recv(s.rx(maxBatch)); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
	}
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2]), "p50-ns")
	used := after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
}
