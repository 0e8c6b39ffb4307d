// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package gvisor makes TCP/IP stacks of gVisor on gVisor's own link endpoints, with
// the settings of a [netstack.Host], to compare a Host with them.
package gvisor

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// An option is a setting of TCP that can be read and set.
type option interface {
	tcpip.GettableTransportProtocolOption
	tcpip.SettableTransportProtocolOption
}

// newOptions returns a variable for each setting of TCP. The least retransmission
// timeout precedes the greatest, which must not be less.
func newOptions() []option {
	return []option{
		new(tcpip.TCPSACKEnabled),
		new(tcpip.TCPRecovery),
		new(tcpip.CongestionControlOption),
		new(tcpip.TCPDelayEnabled),
		new(tcpip.TCPSendBufferSizeRangeOption),
		new(tcpip.TCPReceiveBufferSizeRangeOption),
		new(tcpip.TCPModerateReceiveBufferOption),
		new(tcpip.TCPMinRTOOption),
		new(tcpip.TCPMaxRTOOption),
		new(tcpip.TCPMaxRetriesOption),
		new(tcpip.TCPSynRetriesOption),
		new(tcpip.TCPAlwaysUseSynCookies),
		new(tcpip.TCPLingerTimeoutOption),
		new(tcpip.TCPTimeWaitTimeoutOption),
		new(tcpip.TCPTimeWaitReuseOption),
	}
}

// A Setting is a setting of TCP as text, under gVisor's name for it.
type Setting struct{ Name, Value string }

// Settings returns the settings that a stack has now.
func Settings(s *stack.Stack) (list []Setting, err error) {
	for _, o := range newOptions() {
		if err := s.TransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return nil, fmt.Errorf("%T: %s", o, err)
		}
		list = append(list, setting(o))
	}
	return list, nil
}

func setting(o option) Setting {
	v := reflect.ValueOf(o).Elem()
	name := strings.TrimSuffix(v.Type().Name(), "Option")
	if v.Kind() == reflect.Int64 { // gVisor's are all durations
		return Setting{name, time.Duration(v.Int()).String()}
	}
	return Setting{name, fmt.Sprintf("%+v", v.Interface())}
}

// copySettings gives a stack the settings of another.
func copySettings(to, from *stack.Stack) error {
	for _, o := range newOptions() {
		if err := from.TransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("%T: %s", o, err)
		}
		if err := to.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("%T: %s", o, err)
		}
	}
	return nil
}

// withHost calls f with the stack of a Host with the default configuration.
func withHost(f func(*stack.Stack) error) (err error) {
	sw := vswitch.New(vswitch.Config{})
	defer func() { err = errors.Join(err, sw.Close()) }()
	c, err := sw.Attach()
	if err != nil {
		return err
	}
	h, err := netstack.NewHost(c, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	if err != nil {
		return errors.Join(err, c.Close())
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	return f(h.Stack())
}
