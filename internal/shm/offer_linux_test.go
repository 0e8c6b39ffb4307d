// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/link"
)

// eventfd returns a new eventfd, pipe the end of a pipe that can be written to,
// and socket a socket; closed when the test ends is what belongs to them.
func eventfd(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func pipe(t *testing.T) int {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]) })
	return p[1]
}

func socket(t *testing.T, domain, kind int) int {
	t.Helper()
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// memory returns a sealed memory file of n bytes with an offer in it if o is not nil.
func memory(t *testing.T, n int, o *offer, seals int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	writeOffer(t, fd, o)
	if err := unix.Ftruncate(fd, int64(n)); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return fd
}

// plainFile returns a file with an offer in it.
func plainFile(t *testing.T, o *offer) int {
	t.Helper()
	fd, err := unix.Open(filepath.Join(t.TempDir(), "f"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	writeOffer(t, fd, o)
	return fd
}

func writeOffer(t *testing.T, fd int, o *offer) {
	t.Helper()
	b := make([]byte, offerLen)
	if o != nil {
		o.put(b)
	}
	if _, err := unix.Pwrite(fd, b, 0); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptRefuses(t *testing.T) {
	good := newOffer(allFeatures, MinRing)
	size := good.regionLen()
	doorbell := func() int { return socket(t, unix.AF_UNIX, unix.SOCK_STREAM) }
	with := func(region int) []int { return []int{region, doorbell(), doorbell()} }
	for _, test := range []struct {
		name string
		fds  []int
	}{
		{"a socket for a region", []int{doorbell()}},
		{"a file", with(plainFile(t, &good))},
		{"no offer in it", with(memory(t, size, nil, needSeals))},
		{"may shrink", with(memory(t, size, &good, needSeals&^unix.F_SEAL_SHRINK))},
		{"may not be sealed further", with(memory(t, size, &good, needSeals|unix.F_SEAL_SEAL))},
		{"read-only", with(memory(t, size, &good, needSeals|unix.F_SEAL_WRITE))},
		{"read-only from now on", with(memory(t, size, &good, needSeals|unix.F_SEAL_FUTURE_WRITE))},
		{"too short", with(memory(t, size-1, &good, needSeals))},
		{"too long", with(memory(t, size+1, &good, needSeals))},
		{"one doorbell", []int{memory(t, size, &good, needSeals), doorbell()}},
		{"a file for a doorbell", []int{memory(t, size, &good, needSeals), plainFile(t, &good), doorbell()}},
		{"an eventfd for a doorbell", []int{memory(t, size, &good, needSeals), doorbell(), eventfd(t)}},
		{"a pipe for a doorbell", []int{memory(t, size, &good, needSeals), doorbell(), pipe(t)}},
		{"a datagram socket for a doorbell", []int{memory(t, size, &good, needSeals), doorbell(), socket(t, unix.AF_UNIX, unix.SOCK_DGRAM)}},
		{"a TCP socket for a doorbell", []int{memory(t, size, &good, needSeals), doorbell(), socket(t, unix.AF_INET, unix.SOCK_STREAM)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(openfiles.Open())
			end, headers, attach, err := Accept(test.fds, allFeatures)
			if end != nil || headers || attach != nil || err == nil {
				t.Errorf("got %v, %v, %v, %v", end, headers, attach, err)
			}
			awaitDescriptors(t, before-len(test.fds))
		})
	}
	if end, _, _, err := Accept(nil, allFeatures); end != nil || err != nil {
		t.Errorf("no offer: %v, %v", end, err)
	}
}

// TestTruncate tries to truncate a region that the switch has mapped, and to
// punch a hole in it.
func TestTruncate(t *testing.T) {
	o, err := NewOffer(allFeatures, 1514)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, n := range []int64{0, 4096, int64(o.regionLen()) + 4096} {
		if err := unix.Ftruncate(o.fd, n); err != unix.EPERM {
			t.Errorf("made %d bytes long: %v", n, err)
		}
	}
	punch := func() error {
		return unix.Fallocate(o.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, controlLen, int64(o.regionLen()-controlLen))
	}
	if err := punch(); err != nil { // reads as zeros; it does not kill
		t.Fatal(err)
	}
	sw, _, attach, err := Accept(dup(t, o.Descriptors()), allFeatures)
	if err != nil || len(attach) != 2 {
		t.Fatal(attach, err)
	}
	defer sw.Close()
	if err := punch(); err != unix.EPERM {
		t.Errorf("punched a hole in memory that is in use: %v", err)
	}
	if err := unix.Madvise(o.region, unix.MADV_REMOVE); err != unix.EPERM {
		t.Errorf("took memory away that is in use: %v", err)
	}
	if _, err := sw.RecvPlaced(newSlab(60), 1); err != link.ErrEmpty {
		t.Errorf("received from a hole: %v", err)
	}
}

func TestOfferOutcomes(t *testing.T) {
	for _, test := range []struct {
		name        string
		offer, want uint64
		first       bool // an offer of the first version
		rings       bool
		headers     bool
	}{
		{"all", allFeatures, allFeatures, false, true, false},
		{"rings refused", allFeatures, FeatureHeaders, false, false, true},
		{"all refused", allFeatures, 0, false, false, false},
		{"headers only", FeatureHeaders, allFeatures, true, false, true},
		{"the first version", allFeatures, allFeatures, true, false, true},
		{"rings in the first version", FeatureRings, allFeatures, true, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(openfiles.Open())
			o, err := NewOffer(test.offer, 1514)
			if err != nil {
				t.Fatal(err)
			}
			if test.first {
				o.version = versionEventfds
				o.put(o.region[offerAt:])
			}
			sw, headers, attach, err := Accept(dup(t, o.Descriptors()), test.want)
			if (sw != nil) != test.rings || headers != test.headers || err != nil {
				t.Fatalf("the switch has %v, %v, %v", sw, headers, err)
			}
			client, headers, err := o.Taken(dup(t, attach))
			if (client != nil) != test.rings || headers != test.headers || err != nil {
				t.Fatalf("the client has %v, %v, %v", client, headers, err)
			}
			if sw != nil {
				sw.Close()
				client.Close()
			}
			awaitDescriptors(t, before)
		})
	}
}

// TestOfferLost loses a descriptor of the reply.
func TestOfferLost(t *testing.T) {
	before := len(openfiles.Open())
	o, err := NewOffer(allFeatures, 1514)
	if err != nil {
		t.Fatal(err)
	}
	sw, _, attach, err := Accept(dup(t, o.Descriptors()), allFeatures)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Taken(dup(t, attach[:1])); !errors.Is(err, ErrLost) {
		t.Errorf("with one descriptor: %v", err)
	}
	sw.Close()
	awaitDescriptors(t, before)
}
