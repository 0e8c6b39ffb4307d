// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLost is returned by [Offer.Taken] when the switch took the rings but its
// descriptors did not arrive, most likely because this process may have no more
// of them. The switch now sends nowhere else, so the port is lost.
var ErrLost = errors.New("shm: the descriptors of the reply did not arrive")

// An Offer is what a client makes to attach to its request.
type Offer struct {
	offer
	fd     int
	region []byte
	bells  [2]*bell // for frames, for room; nil without FeatureRings
}

// NewOffer offers features for frames of up to maxFrame bytes. It must be
// closed, or given to Taken.
func NewOffer(features uint64, maxFrame int) (_ *Offer, err error) {
	o := &Offer{offer: offer{features: features}}
	if features&FeatureRings != 0 {
		if err := supported(); err != nil {
			return nil, err
		}
		if maxFrame > MaxFrame {
			return nil, fmt.Errorf("shm: frames of %d bytes, at most %d go through rings", maxFrame, MaxFrame)
		}
		o.ring = uint32(ringFor(maxFrame))
	}
	if o.fd, err = makeRegion(o.regionLen()); err != nil {
		return nil, err
	}
	if o.region, err = mapRegion(o.fd, o.regionLen()); err != nil {
		unix.Close(o.fd)
		return nil, err
	}
	if o.ring != 0 {
		if err := newBells(o.bells[:]); err != nil {
			o.bells = [2]*bell{}
			o.Close()
			return nil, err
		}
		// Where our own cannot be told for a bell, the switch's could not either.
		if err := checkBell(o.bells[0].fd); err != nil {
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
	return []int{o.fd, o.bells[0].fd, o.bells[1].fd}
}

// Taken tells what became of the offer, given the descriptors that came with the
// reply, which it takes over, as it does o. The End is nil if the switch did not
// take the rings; headers is whether each datagram begins with an offload header
// then.
func (o *Offer) Taken(fds []int) (end *End, headers bool, err error) {
	features := parseAnswer(o.region[answerAt:]) & o.features
	if features&FeatureRings == 0 {
		CloseRights(fds)
		o.Close()
		return nil, features&FeatureHeaders != 0, nil
	}
	if len(fds) != 2 {
		err = fmt.Errorf("%w: %d of 2", ErrLost, len(fds))
	}
	for _, fd := range fds {
		err = errors.Join(err, checkBell(fd))
	}
	if err != nil {
		CloseRights(fds)
		o.Close()
		return nil, false, err
	}
	unix.Close(o.fd) // the mapping stays
	return newEnd(o.region, int(o.ring), true, o.bells, [2]int(fds)), false, nil
}

// Close takes the offer back.
func (o *Offer) Close() {
	unix.Close(o.fd)
	unix.Munmap(o.region)
	if o.ring != 0 && o.bells[0] != nil {
		closeBells(o.bells[:])
	}
}

// Accept is the switch's side: it looks at the descriptors that came with a
// request, which it takes over, and takes what it can of the features in want.
// end is nil if that does not include rings; else attach are the descriptors to
// attach to the reply, which stay end's. An error says why an offer was not
// taken; the port can be given all the same.
func Accept(fds []int, want uint64) (end *End, headers bool, attach []int, err error) {
	defer CloseRights(fds) // but for those that are set to -1
	if len(fds) == 0 || want == 0 {
		return nil, false, nil, nil
	}
	if err := checkSeals(fds[0]); err != nil {
		return nil, false, nil, err
	}
	// Read once: what the client changes afterwards is not looked at.
	var b [offerLen]byte
	if n, err := unix.Pread(fds[0], b[:], offerAt); err != nil {
		return nil, false, nil, os.NewSyscallError("pread", err)
	} else if n != len(b) {
		return nil, false, nil, fmt.Errorf("%w: %d bytes", errOffer, n)
	}
	o, err := parseOffer(b[:])
	if err != nil {
		return nil, false, nil, err
	}
	if err := checkLen(fds[0], o.regionLen()); err != nil {
		return nil, false, nil, err
	}
	features := o.features & want
	if supported() != nil {
		features &^= FeatureRings
	}
	if features == 0 {
		return nil, false, nil, nil
	}
	if features&FeatureRings == 0 {
		return nil, features&FeatureHeaders != 0, nil, answer(fds[0], features)
	}
	if len(fds) != 3 {
		return nil, false, nil, fmt.Errorf("%w: rings with %d descriptors", errOffer, len(fds))
	}
	for _, fd := range fds[1:] {
		if err := checkBell(fd); err != nil {
			return nil, false, nil, err
		}
	}
	var bells [2]*bell
	if err := newBells(bells[:]); err != nil {
		return nil, false, nil, err
	}
	region, err := mapRegion(fds[0], o.regionLen())
	if err == nil {
		if err = answer(fds[0], features); err != nil {
			unix.Munmap(region)
		}
	}
	if err != nil {
		closeBells(bells[:])
		return nil, false, nil, err
	}
	end = newEnd(region, int(o.ring), false, bells, [2]int(fds[1:]))
	fds[1], fds[2] = -1, -1
	end.TakeOffload()
	return end, false, []int{bells[0].fd, bells[1].fd}, nil
}

// answer writes into the region fd that features are taken.
func answer(fd int, features uint64) error {
	var b [offerLen]byte
	putAnswer(b[:], features)
	_, err := unix.Pwrite(fd, b[:], answerAt) // a memory file takes all or nothing of so little
	return os.NewSyscallError("pwrite", err)
}
