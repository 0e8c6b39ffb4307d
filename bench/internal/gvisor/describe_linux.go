// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gvisor

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// describedMTU is the MTU of the endpoints in [Describe].
const describedMTU = 1500

// Describe returns tables of what stacks and endpoints say of themselves: the
// settings of TCP in a Host and in the bare stacks, and the properties of the
// endpoints for one connection.
func Describe() (string, error) {
	tcp, err := describeTCP()
	if err != nil {
		return "", err
	}
	links, err := describeLinks()
	return tcp + "\n" + links, err
}

func describeTCP() (string, error) {
	s, err := newStack()
	if err != nil {
		return "", err
	}
	defer s.Destroy()
	bare, err := Settings(s)
	if err != nil {
		return "", err
	}
	var host []Setting
	if err := withHost(func(s *stack.Stack) (err error) {
		host, err = Settings(s)
		return err
	}); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| setting of TCP | Host | stacks on gVisor's endpoints |\n|---|--:|--:|\n")
	for i, h := range host {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", h.Name, h.Value, bare[i].Value)
	}
	return b.String(), nil
}

func describeLinks() (string, error) {
	var b strings.Builder
	b.WriteString("| endpoint | TCP segments of up to 64 KB are | checksums | merged on receipt | room for one connection |\n|---|--:|--:|--:|--:|\n")
	for _, k := range Kinds {
		line, err := k.describe()
		if err != nil {
			return "", fmt.Errorf("%s: %w", k.Name, err)
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// describe returns the line of a kind in the table.
func (k Kind) describe() (string, error) {
	link, err := k.Join(1)
	if err != nil {
		return "", err
	}
	defer link.Close()
	ep, err := k.Endpoint(Sender, link[Sender], describedMTU)
	if err != nil {
		return "", err
	}
	segments := "not used"
	if gso, ok := ep.(stack.GSOEndpoint); ok {
		switch gso.SupportedGSO() {
		case stack.GVisorGSOSupported:
			segments = "divided by gVisor"
		case stack.HostGSOSupported:
			segments = "sent undivided"
		}
	}
	checksums := "computed and verified"
	if offload := stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload; ep.Capabilities()&offload == offload {
		checksums = "left out"
	}
	merged := "no"
	if k.GRO {
		merged = "yes"
	}
	room, err := k.room(link)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", k.Name, segments, checksums, merged, room), nil
}

// room says how much may wait between the two sides.
func (k Kind) room(link Link) (string, error) {
	if k.Shared {
		size, err := link[Sender][0].Stat()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d KiB of shared memory", size.Size()>>10), nil
	}
	size, err := unix.GetsockoptInt(int(link[Sender][0].Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d KiB of the socket", size>>10)
	if k.Queue {
		text += fmt.Sprintf(", %d packets of a queue", queueLen)
	}
	return text, nil
}
