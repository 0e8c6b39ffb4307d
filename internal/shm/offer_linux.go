// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
)

// ErrLost is returned by [Offer.Taken] when the switch took the rings but its
// descriptors did not arrive, most likely because this process has reached its limit
// of open files. The switch sends through the rings alone, so the port is lost.
var ErrLost = errors.New("shm: the descriptors of the reply did not arrive")

// An Offer is what a client makes to attach to its request.
type Offer struct {
	offer
	fd     int
	region []byte
	ours   [2]*doorbell // for frames, for room; nil without FeatureRings
}

// NewOffer offers features for frames of up to maxFrame bytes. It must be
// closed, or given to Taken.
func NewOffer(features uint64, maxFrame int) (_ *Offer, err error) {
	o := &Offer{offer: newOffer(features, ringFor(maxFrame))}
	if features&FeatureRings != 0 {
		if err := supported(); err != nil {
			return nil, err
		}
		if maxFrame > MaxFrame {
			return nil, fmt.Errorf("shm: frames of %d bytes, at most %d go through rings", maxFrame, MaxFrame)
		}
	}
	if o.fd, err = makeRegion(o.regionLen()); err != nil {
		return nil, err
	}
	if o.region, err = mapRegion(o.fd, o.regionLen()); err != nil {
		unix.Close(o.fd)
		return nil, err
	}
	if o.ring != 0 {
		if err := newDoorbells(o.ours[:]); err != nil {
			o.ours = [2]*doorbell{}
			o.Close()
			return nil, err
		}
	}
	o.put(o.region[offerAt:])
	return o, nil
}

// Descriptors returns what to attach to the request. They stay o's.
func (o *Offer) Descriptors() []int {
	if o.ring == 0 {
		return []int{o.fd}
	}
	return []int{o.fd, o.ours[0].far, o.ours[1].far}
}

// Taken returns what the switch took of the offer, given the descriptors that came
// with the reply, which it takes over, as it does o. The End is nil if the switch did
// not take the rings; headers then reports whether each datagram begins with a
// virtio-net header.
func (o *Offer) Taken(fds []int) (end *End, headers bool, err error) {
	features := o.parseAnswer(o.region[answerAt:])
	if features&FeatureRings == 0 {
		transport.CloseDescriptors(fds)
		o.Close()
		return nil, features&FeatureHeaders != 0, nil
	}
	if len(fds) != 2 {
		err = fmt.Errorf("%w: %d of 2", ErrLost, len(fds))
	}
	for _, fd := range fds {
		err = errors.Join(err, checkDoorbell(fd))
	}
	if err != nil {
		transport.CloseDescriptors(fds)
		o.Close()
		return nil, false, err
	}
	unix.Close(o.fd) // the mapping stays
	end = newEnd(o.region, int(o.ring), true, o.ours, [2]int(fds))
	end.Attached()
	return end, false, nil
}

// Close withdraws the offer.
func (o *Offer) Close() {
	unix.Close(o.fd)
	unix.Munmap(o.region)
	if o.ring != 0 && o.ours[0] != nil {
		closeDoorbells(o.ours[:])
	}
}

// Accept is the switch's side: it checks the descriptors that came with a request,
// which it takes over, and takes those of the offered features that are in want. end
// is nil if these do not include rings; else attach are the descriptors to attach
// to the reply, which stay end's; call [End.Attached] once the reply is sent. headers is as for [Offer.Taken]. An error says why
// an offer was not taken; the port can be given all the same.
func Accept(fds []int, want uint64) (end *End, headers bool, attach []int, err error) {
	defer transport.CloseDescriptors(fds) // but for those that are set to -1
	if len(fds) == 0 || want == 0 {
		return nil, false, nil, nil
	}
	o, err := readOffer(fds[0])
	if err != nil {
		return nil, false, nil, err
	}
	features := o.features & want
	if supported() != nil {
		features &^= FeatureRings
	}
	switch {
	case features == 0:
		return nil, false, nil, nil
	case features&FeatureRings == 0:
		return nil, features&FeatureHeaders != 0, nil, o.answer(fds[0], features)
	case len(fds) != 3:
		return nil, false, nil, fmt.Errorf("%w: rings with %d descriptors", errOffer, len(fds))
	}
	end, attach, err = o.accept(fds, features)
	return end, false, attach, err
}

// readOffer checks the region fd, which the client made, and reads the offer in it:
// once, so that later changes have no effect.
func readOffer(fd int) (o offer, err error) {
	if err := checkSeals(fd); err != nil {
		return o, err
	}
	var b [offerLen]byte
	if n, err := unix.Pread(fd, b[:], offerAt); err != nil {
		return o, os.NewSyscallError("pread", err)
	} else if n != len(b) {
		return o, fmt.Errorf("%w: %d bytes", errOffer, n)
	}
	if o, err = parseOffer(b[:]); err != nil {
		return o, err
	}
	return o, checkLen(fd, o.regionLen())
}

// accept makes the switch's End of an offer with rings. It takes over those of fds
// that it sets to -1.
func (o offer) accept(fds []int, features uint64) (end *End, attach []int, err error) {
	for _, fd := range fds[1:] {
		if err := checkDoorbell(fd); err != nil {
			return nil, nil, err
		}
	}
	var ours [2]*doorbell
	if err := newDoorbells(ours[:]); err != nil {
		return nil, nil, err
	}
	region, err := mapRegion(fds[0], o.regionLen())
	if err == nil {
		if err = sealRegion(fds[0]); err != nil {
			unix.Munmap(region)
		}
	}
	if err != nil {
		closeDoorbells(ours[:])
		return nil, nil, err
	}
	o.putAnswer(region[answerAt:], features)
	end = newEnd(region, int(o.ring), false, ours, [2]int(fds[1:]))
	fds[1], fds[2] = -1, -1
	end.TakeOffload()
	return end, []int{ours[0].far, ours[1].far}, nil
}

// answer writes into the region fd of an offer without rings which features are
// taken.
func (o offer) answer(fd int, features uint64) error {
	var b [offerLen]byte
	o.putAnswer(b[:], features)
	_, err := unix.Pwrite(fd, b[:], answerAt) // so little is written to a memory file as a whole
	return os.NewSyscallError("pwrite", err)
}
