// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// eventfd returns a new eventfd with flags.
func eventfd(t *testing.T, flags int) int {
	t.Helper()
	fd, err := unix.Eventfd(0, flags|unix.EFD_CLOEXEC)
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
	good := offer{features: allFeatures, ring: MinRing}
	size := good.regionLen()
	doorbell := func() int { return eventfd(t, unix.EFD_NONBLOCK) }
	with := func(region int) []int { return []int{region, doorbell(), doorbell()} }
	for _, test := range []struct {
		name string
		fds  []int
	}{
		{"an eventfd for a region", []int{doorbell()}},
		{"a file", with(plainFile(t, &good))},
		{"no offer in it", with(memory(t, size, nil, needSeals))},
		{"may shrink", with(memory(t, size, &good, needSeals&^unix.F_SEAL_SHRINK))},
		{"may be unsealed", with(memory(t, size, &good, needSeals&^unix.F_SEAL_SEAL))},
		{"read-only", with(memory(t, size, &good, needSeals|unix.F_SEAL_WRITE))},
		{"read-only from now on", with(memory(t, size, &good, needSeals|unix.F_SEAL_FUTURE_WRITE))},
		{"too short", with(memory(t, size-1, &good, needSeals))},
		{"too long", with(memory(t, size+1, &good, needSeals))},
		{"one doorbell", []int{memory(t, size, &good, needSeals), doorbell()}},
		{"a file for a doorbell", []int{memory(t, size, &good, needSeals), plainFile(t, &good), doorbell()}},
		{"a doorbell that blocks", []int{memory(t, size, &good, needSeals), doorbell(), eventfd(t, 0)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			end, headers, attach, err := Accept(test.fds, allFeatures)
			if end != nil || headers || attach != nil || err == nil {
				t.Errorf("got %v, %v, %v, %v", end, headers, attach, err)
			}
			if after := descriptors(t); after != before-len(test.fds) {
				t.Errorf("%d descriptors are left of %d, with %d taken over", after, before, len(test.fds))
			}
		})
	}
	if end, _, _, err := Accept(nil, allFeatures); end != nil || err != nil {
		t.Errorf("no offer: %v, %v", end, err)
	}
}

// TestTruncate tries to truncate a region that the switch has mapped.
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
	// A hole reads as zeros; it does not kill.
	sw, _, attach, err := Accept(dup(t, o.Descriptors()), allFeatures)
	if err != nil || len(attach) != 2 {
		t.Fatal(attach, err)
	}
	defer sw.Close()
	if err := unix.Fallocate(o.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(o.regionLen())); err != nil {
		t.Fatal(err)
	}
	if _, err := sw.RecvPlaced(newSlab(60), 1); err != link.ErrEmpty {
		t.Errorf("received from a hole: %v", err)
	}
}

func TestOfferOutcomes(t *testing.T) {
	for _, test := range []struct {
		name        string
		offer, want uint64
		rings       bool
		headers     bool
	}{
		{"all", allFeatures, allFeatures, true, false},
		{"rings refused", allFeatures, FeatureHeaders, false, true},
		{"all refused", allFeatures, 0, false, false},
		{"headers only", FeatureHeaders, allFeatures, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			o, err := NewOffer(test.offer, 1514)
			if err != nil {
				t.Fatal(err)
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
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, there were %d", after, before)
			}
		})
	}
}

// TestOfferLost loses a descriptor of the reply.
func TestOfferLost(t *testing.T) {
	before := descriptors(t)
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
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, there were %d", after, before)
	}
}
