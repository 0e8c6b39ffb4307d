// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tapio_test

import (
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/tapio"
	"github.com/go-vde/sdk/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A kernel is a fake that knows some of the requests.
type kernel struct {
	features   error  // of Features
	flags      uint32 // that Features returns
	attached   uint16 // flags of the last SetInterface
	multi      bool   // the interface was made for several queues
	persistent bool
	takes      int // flags that SetOffload takes
	offload    int // flags that were set last
	tried      []int
	refuses    []uint // requests that Set refuses
	set        map[uint]int
}

func (k *kernel) Features() (uint32, error) { return k.flags, k.features }

func (k *kernel) SetInterface(name string, flags uint16) (string, error) {
	if name == "lan0" && k.multi != (flags&unix.IFF_MULTI_QUEUE != 0) {
		return "", unix.EINVAL
	}
	k.attached = flags
	return "lan0", nil
}

func (k *kernel) Interface() (string, uint16, error) {
	if k.persistent {
		return "lan0", k.attached | unix.IFF_PERSIST, nil
	}
	return "lan0", k.attached, nil
}

func (k *kernel) SetOffload(flags int) error {
	k.tried = append(k.tried, flags)
	if flags&^k.takes != 0 {
		return unix.EINVAL
	}
	k.offload = flags
	return nil
}

func (k *kernel) Set(request uint, value int) error {
	if slices.Contains(k.refuses, request) {
		return unix.EINVAL
	}
	if k.set == nil {
		k.set = make(map[uint]int)
	}
	k.set[request] = value
	return nil
}

const (
	csum = 1
	tso  = 2 | 4
	uso  = 0x20 | 0x40
)

const tunHeaders = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE

// TestAttachFallback attaches to kernels that know less and less.
func TestAttachFallback(t *testing.T) {
	both := link.OffloadChecksum | link.OffloadTSO
	for _, test := range []struct {
		name    string
		k       kernel
		headers bool
		offload link.Offload
		set     int // flags of TUNSETOFFLOAD in the end
		tries   int
	}{
		{"everything", kernel{flags: tunHeaders, takes: csum | tso | uso}, true, both | link.OffloadUSO, csum | tso | uso, 1},
		{"no USO", kernel{flags: tunHeaders, takes: csum | tso}, true, both, csum | tso, 2},
		{"no TSO", kernel{flags: tunHeaders, takes: csum}, true, both, csum, 3},
		{"nothing unfinished to read", kernel{flags: tunHeaders}, true, both, 0, 4},
		{"headers of one length", kernel{flags: tunHeaders, takes: csum | tso, refuses: []uint{unix.TUNSETVNETHDRSZ, unix.TUNSETVNETLE}}, true, both, csum | tso, 2},
		{"no headers", kernel{flags: unix.IFF_TAP | unix.IFF_NO_PI, takes: csum | tso}, false, 0, 0, 0},
		{"no TUNGETFEATURES", kernel{features: unix.EINVAL, flags: tunHeaders}, false, 0, 0, 0},
	} {
		d, err := tapio.Attach(&test.k, tapio.Options{Name: "lan0"})
		if err != nil || d.Name != "lan0" || d.Headers != test.headers || d.Offload != test.offload {
			t.Errorf("%s: %+v, %v", test.name, d, err)
		}
		if test.k.offload != test.set || len(test.k.tried) != test.tries {
			t.Errorf("%s: tried %v, %v was set", test.name, test.k.tried, test.k.offload)
		}
		if got := test.k.attached&unix.IFF_VNET_HDR != 0; got != test.headers {
			t.Errorf("%s: attached with %#x", test.name, test.k.attached)
		}
	}
}

// TestAttachPersistent attaches to devices that others have left behind.
func TestAttachPersistent(t *testing.T) {
	k := kernel{flags: tunHeaders, takes: csum | tso, persistent: true}
	if d, err := tapio.Attach(&k, tapio.Options{Name: "lan0", WriteBuffer: 5000}); err != nil || !d.Persistent {
		t.Errorf("%+v, %v", d, err)
	}
	if k.set[unix.TUNSETVNETHDRSZ] != 10 || k.set[unix.TUNSETVNETLE] != 1 || k.set[unix.TUNSETSNDBUF] != 5000 {
		t.Errorf("settings %v", k.set)
	}
	// With headers of another length, no frame would be where it is looked for.
	k = kernel{flags: tunHeaders, persistent: true, refuses: []uint{unix.TUNSETVNETHDRSZ}}
	if d, err := tapio.Attach(&k, tapio.Options{Name: "lan0"}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestAttachQueues attaches to devices with one queue and with several.
func TestAttachQueues(t *testing.T) {
	for _, test := range []struct {
		name        string
		multi, asks bool
		want        bool
		err         error
	}{
		{"lan0", false, false, false, nil}, {"lan0", true, true, true, nil},
		{"lan0", true, false, true, nil}, {"lan0", false, true, false, unix.EINVAL},
		{"", false, true, true, nil},
	} {
		k := kernel{flags: tunHeaders, multi: test.multi}
		d, err := tapio.Attach(&k, tapio.Options{Name: test.name, MultiQueue: test.asks})
		if !errors.Is(err, test.err) || d.MultiQueue != test.want {
			t.Errorf("%+v: %+v, %v", test, d, err)
		}
	}
}
