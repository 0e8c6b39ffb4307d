// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/go-vde/sdk/frame"
)

const (
	// DefaultMTU is the MTU if the configuration has none. Every VDE switch
	// forwards frames of this size.
	DefaultMTU = 1500

	// MaxMTU is the largest MTU: a frame of it fills the largest buffer that
	// gVisor keeps in a pool, 64 KiB. Above an MTU of 9220, open the connection
	// with [vde.WithMaxFrameSize] of at least MTU + 14. An MTU that the connection
	// does not carry is an error.
	MaxMTU = 65522

	minMTU = 68 // RFC 791: every link carries this
)

// A Policy says what happens to a packet when the queue of an endpoint is full.
// Its text forms are those of vswitch.Policy.
type Policy int

const (
	// Backpressure makes the sender wait. It is the default.
	Backpressure Policy = iota

	// TailDrop drops the packet and counts it, as Ethernet hardware does. Frames
	// are then copied once more before they are sent.
	TailDrop
)

var policyNames = [...]string{"backpressure", "tail-drop"}

// String returns "backpressure" or "tail-drop".
func (p Policy) String() string {
	if !p.known() {
		return fmt.Sprintf("Policy(%d)", int(p))
	}
	return policyNames[p]
}

func (p Policy) known() bool { return p >= 0 && int(p) < len(policyNames) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (p Policy) MarshalText() ([]byte, error) {
	if !p.known() {
		return nil, fmt.Errorf("netstack: policy %d has no name", int(p))
	}
	return []byte(p.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Policy) UnmarshalText(b []byte) error {
	i := slices.Index(policyNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("netstack: unknown policy %q, want one of %s", b, strings.Join(policyNames[:], ", "))
	}
	*p = Policy(i)
	return nil
}

// An IPv6Mode says where a [Host] takes its IPv6 addresses and routes from.
type IPv6Mode int

const (
	// IPv6Static uses the addresses and the gateway of the configuration only, and
	// ignores router advertisements. It is the default.
	IPv6Static IPv6Mode = iota

	// IPv6SLAAC accepts router advertisements (RFC 4861, 4862, 8106): addresses,
	// routes, name servers, and an MTU of at most the configured one, in addition to
	// what is configured. Any endpoint of the network can send them.
	IPv6SLAAC

	// IPv6Auto is IPv6SLAAC with DHCPv6 (RFC 8415): if a router advertisement has the
	// M flag, the host requests an address and name servers, and with the O flag name
	// servers. It renews the lease, and releases it in Close.
	IPv6Auto
)

var ipv6ModeNames = [...]string{"static", "slaac", "auto"}

// String returns "static", "slaac" or "auto".
func (m IPv6Mode) String() string {
	if !m.known() {
		return fmt.Sprintf("IPv6Mode(%d)", int(m))
	}
	return ipv6ModeNames[m]
}

func (m IPv6Mode) known() bool { return m >= 0 && int(m) < len(ipv6ModeNames) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (m IPv6Mode) MarshalText() ([]byte, error) {
	if !m.known() {
		return nil, fmt.Errorf("netstack: IPv6 mode %d has no name", int(m))
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *IPv6Mode) UnmarshalText(b []byte) error {
	i := slices.Index(ipv6ModeNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("netstack: unknown IPv6 mode %q, want one of %s", b, strings.Join(ipv6ModeNames[:], ", "))
	}
	*m = IPv6Mode(i)
	return nil
}

// An EndpointConfig configures an [Endpoint]. The zero value works.
type EndpointConfig struct {
	MAC frame.MAC // default: random, locally administered
	MTU int       // of IP packets, 68 to MaxMTU; default DefaultMTU

	// Promiscuous accepts frames for every address. Without it, the endpoint
	// accepts frames for MAC and for group addresses, broadcast included.
	Promiscuous bool

	// Policy says what happens to packets when the queue is full.
	Policy Policy

	// Queue is how many frames may wait in the endpoint for the connection
	// (default 256). With Backpressure, as many again are reserved for packets
	// that cannot wait.
	Queue int

	// Processors is how many goroutines deliver packets to the stack (default 1,
	// the goroutine that receives). Packets of one flow stay in order.
	Processors int

	// GRO enables generic receive offload: consecutive segments of a TCP
	// connection that were received in one batch become one packet of up to
	// 64 KiB, which makes receiving cheaper. Without it, each frame becomes one
	// packet.
	GRO bool

	// NoOffload disables GSO frames and partial checksums, which the endpoint
	// otherwise reads and writes as packets; see [vde.Conn.ReadPackets]. Where the other
	// side has agreed, packets of up to 64 KiB are sent and received as one frame
	// each. Above an MTU of 65512 the endpoint does not ask for virtio-net headers.
	NoOffload bool

	// Forwarding is for a stack that forwards packets between interfaces. The
	// endpoint then delivers no packet that is longer than a frame on the wire,
	// because the next link could not take it: GRO is off, whatever GRO says, and
	// NoOffload is implied. Set it for every interface of the stack, and give the stack
	// a [Forwarder]: without one, some packets that are to be forwarded end the process.
	Forwarding bool

	// NoChecksums omits transport checksums in packets that are sent and does
	// not verify them in packets that are received. Set it only if every host on
	// the network does.
	NoChecksums bool

	// DeliverLinkPackets delivers received frames to the packet sockets of the
	// stack too, at a small cost for each frame. NICOptions.DeliverLinkPackets
	// does the same and adds sent packets; do not set both.
	DeliverLinkPackets bool

	// OnEnd, if not nil, is called once, in a goroutine of its own, when the
	// connection has ended for any reason. It may call Close.
	OnEnd func(error) `json:"-"`
}

// check validates the configuration and sets defaults.
func (cfg *EndpointConfig) check() error {
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.MTU < minMTU || cfg.MTU > MaxMTU {
		return fmt.Errorf("MTU %d is not between %d and %d", cfg.MTU, minMTU, MaxMTU)
	}
	if cfg.MAC == (frame.MAC{}) {
		cfg.MAC = randomMAC()
	}
	if cfg.MAC.IsGroup() {
		return fmt.Errorf("MAC %v is a group address", cfg.MAC)
	}
	if !cfg.Policy.known() {
		return fmt.Errorf("unknown policy %d", int(cfg.Policy))
	}
	if cfg.Queue < 0 || cfg.Processors < 0 {
		return errors.New("negative Queue or Processors")
	}
	if cfg.Queue == 0 {
		cfg.Queue = defaultQueue
	}
	cfg.Processors = max(cfg.Processors, 1)
	if cfg.Forwarding {
		cfg.GRO, cfg.NoOffload = false, true
	}
	return nil
}

// A HostConfig configures a [Host]. It needs Addrs, DHCP or IPv6; everything else has a
// default.
type HostConfig struct {
	// Addrs are the addresses of the host with the lengths of their prefixes, as
	// in 10.0.0.2/24 or fd00::2/64. The first of each family is the default
	// source address. A host without an IPv6 address does not use IPv6, unless IPv6
	// is set.
	Addrs []netip.Prefix

	// DetectConflicts makes NewHost probe for the addresses of Addrs before it uses
	// them, which takes 300 milliseconds: by ARP (RFC 5227), and in IPv6 by duplicate
	// address detection (RFC 4862), also for the link-local address. If another host
	// has one of them, NewHost fails with ErrAddressConflict. With IPv6 set, it always
	// does so for IPv6 addresses.
	DetectConflicts bool

	// Gateway and Gateway6 are the default gateways of IPv4 and IPv6. An IPv6
	// address in Gateway is taken as Gateway6. Without a gateway, the host
	// reaches only the networks of Addrs.
	Gateway, Gateway6 netip.Addr

	// DHCP requests an IPv4 address, routes, name servers and an MTU of at most the
	// one configured here. Addresses and name servers are in addition to those
	// configured here. The host probes for the address before it uses it, renews the
	// lease, and releases it in Close. DHCP works on Linux only; elsewhere NewHost
	// fails with errors.ErrUnsupported.
	DHCP bool

	// DHCPTimeout bounds how long NewHost waits for a lease (default 15
	// seconds).
	DHCPTimeout time.Duration

	// IPv6 says whether the host takes IPv6 addresses and routes from the network. If
	// it does, NewHost waits until there was a router advertisement and the host has an
	// IPv6 address that is neither link-local nor that of another host. With IPv6Auto it
	// also waits for the answer of a DHCPv6 server, but if it has another address, only
	// for the first message to be unanswered, which takes a second.
	IPv6 IPv6Mode

	// IPv6Timeout bounds how long NewHost waits for that (default 15 seconds).
	IPv6Timeout time.Duration

	// IPv6Secret, of at least 16 bytes, makes the host derive its link-local address and
	// those in the prefixes of routers from the secret and MAC (RFC 7217). They are stable
	// but cannot be guessed, and if another host has one, the host takes another one, up
	// to three times. Without it, such addresses contain MAC (modified EUI-64). IPv6Static
	// ignores it.
	IPv6Secret []byte

	// Hostname and ClientID are the host name and the client identifier (options 12
	// and 61) that a DHCP server is told, if they are set. A server that gets no
	// identifier knows the host by its MAC. A DHCPv6 server is told Hostname (option
	// 39), and knows the host by its MAC (DUID-LL).
	Hostname string
	ClientID []byte

	// LookupNetIP finds the addresses of a name; network is "ip", "ip4" or
	// "ip6". To use the machine's resolver, set it to the method of that name of
	// net.DefaultResolver. If it is nil, the host asks the name servers of DNS
	// and of the DHCP lease.
	LookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error) `json:"-"`

	// DNS are name servers, which the host asks over its own network, in this order:
	// the next one when one has failed or not answered for a second.
	DNS []netip.Addr

	// These are passed to the endpoint; see EndpointConfig.
	MTU         int
	MAC         frame.MAC // to keep an address over restarts, see StableMAC
	Promiscuous bool
	Policy      Policy
	Queue       int
	Processors  int
	NoOffload   bool
	NoChecksums bool

	// NoGRO disables EndpointConfig.GRO, which a Host otherwise uses.
	NoGRO bool

	// CongestionControl is TCP's algorithm, "reno" (the default) or "cubic". On a
	// network that loses nothing they perform alike. With 1 % loss and a delay of
	// 20 ms in each direction, gVisor's reno is at least 1.5 times as fast.
	CongestionControl string

	// MaxRTO bounds TCP's retransmission timeout (default 2 seconds), and with it
	// how long a transfer pauses after the switch was restarted; see
	// [vde.WithReconnect]. It must be longer than any round trip. A connection is
	// given up after 15 minutes without an acknowledgement, whatever MaxRTO is.
	MaxRTO time.Duration

	// SendBuffer and ReceiveBuffer are the sizes in bytes up to which the
	// buffers of a TCP connection grow (default 4 MiB).
	SendBuffer, ReceiveBuffer int
}

const (
	defaultDHCPTimeout = 15 * time.Second
	defaultIPv6Timeout = 15 * time.Second
	defaultTCPBuffer   = 4 << 20
	defaultCongestion  = "reno"
	defaultMaxRTO      = 2 * time.Second

	// tcpGiveUp is how long TCP retransmits before it gives up a connection, as
	// with the defaults of gVisor and of Linux.
	tcpGiveUp = 15 * time.Minute
)

// A durationText is a duration whose JSON form is text, as in "15s".
type durationText time.Duration

func (d durationText) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *durationText) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration, want for example 1m30s", b)
	}
	*d = durationText(parsed)
	return nil
}

// MarshalJSON writes the durations as text, as in "15s", and omits LookupNetIP.
func (cfg HostConfig) MarshalJSON() ([]byte, error) {
	type plain HostConfig
	return json.Marshal(struct {
		plain
		DHCPTimeout, IPv6Timeout, MaxRTO durationText
	}{plain(cfg), durationText(cfg.DHCPTimeout), durationText(cfg.IPv6Timeout), durationText(cfg.MaxRTO)})
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that b does not mention keep
// their value.
func (cfg *HostConfig) UnmarshalJSON(b []byte) error {
	type plain HostConfig
	v := struct {
		*plain
		DHCPTimeout, IPv6Timeout, MaxRTO *durationText
	}{(*plain)(cfg), (*durationText)(&cfg.DHCPTimeout), (*durationText)(&cfg.IPv6Timeout), (*durationText)(&cfg.MaxRTO)}
	return json.Unmarshal(b, &v)
}

// check validates the configuration and sets defaults. The configuration of the
// endpoint is left to NewEndpoint.
func (cfg *HostConfig) check() error {
	if err := cfg.checkAddrs(); err != nil {
		return err
	}
	if err := cfg.checkGateways(); err != nil {
		return err
	}
	if err := cfg.checkIPv6(); err != nil {
		return err
	}
	if len(cfg.Hostname) > 255 || len(cfg.ClientID) > 255 || len(cfg.ClientID) == 1 {
		return errors.New("a host name has at most 255 bytes, and a client identifier 2 to 255")
	}
	if cfg.DHCPTimeout <= 0 {
		cfg.DHCPTimeout = defaultDHCPTimeout
	}
	return cfg.checkTCP()
}

func (cfg *HostConfig) checkIPv6() error {
	if !cfg.IPv6.known() {
		return fmt.Errorf("unknown IPv6 mode %d", int(cfg.IPv6))
	}
	if n := len(cfg.IPv6Secret); n > 0 && n < header.OpaqueIIDSecretKeyMinBytes {
		return fmt.Errorf("IPv6Secret of less than %d bytes", header.OpaqueIIDSecretKeyMinBytes)
	}
	if cfg.IPv6Timeout <= 0 {
		cfg.IPv6Timeout = defaultIPv6Timeout
	}
	if cfg.IPv6 == IPv6Auto && cfg.Hostname != "" {
		for label := range strings.SplitSeq(strings.TrimSuffix(cfg.Hostname, "."), ".") {
			if len(label) == 0 || len(label) > 63 {
				return fmt.Errorf("host name %q: a label has 1 to 63 bytes", cfg.Hostname)
			}
		}
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.hasV6() && cfg.MTU < header.IPv6MinimumMTU {
		return fmt.Errorf("MTU %d is less than the %d that IPv6 needs", cfg.MTU, header.IPv6MinimumMTU)
	}
	return nil
}

func (cfg *HostConfig) checkAddrs() error {
	if len(cfg.Addrs) == 0 && !cfg.DHCP && cfg.IPv6 == IPv6Static {
		return errors.New("a host needs Addrs, DHCP or IPv6")
	}
	seen := make(map[netip.Addr]bool)
	for _, p := range cfg.Addrs {
		a := p.Addr()
		switch {
		case !p.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.IsLoopback():
			return fmt.Errorf("%v is not an address of a host", p)
		case seen[a]:
			return fmt.Errorf("address %v is configured twice", a)
		}
		seen[a] = true
	}
	return nil
}

// checkGateways validates the gateways, and moves an IPv6 address from Gateway to
// Gateway6.
func (cfg *HostConfig) checkGateways() error {
	if cfg.Gateway.Is6() && !cfg.Gateway.Is4In6() {
		if cfg.Gateway6.IsValid() {
			return errors.New("two gateways for IPv6")
		}
		cfg.Gateway, cfg.Gateway6 = netip.Addr{}, cfg.Gateway
	}
	for _, gw := range []netip.Addr{cfg.Gateway, cfg.Gateway6} {
		if !gw.IsValid() {
			continue
		}
		if slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Addr() == gw }) {
			return fmt.Errorf("gateway %v is this host", gw)
		}
		if !gw.IsLinkLocalUnicast() && !slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Contains(gw) }) {
			return fmt.Errorf("gateway %v is on no network of this host", gw)
		}
	}
	if cfg.Gateway6.IsValid() && !cfg.Gateway6.Is6() || cfg.Gateway6.IsValid() && !cfg.hasV6() {
		return fmt.Errorf("gateway %v: the host has no IPv6 address", cfg.Gateway6)
	}
	return nil
}

func (cfg *HostConfig) checkTCP() error {
	if cfg.CongestionControl == "" {
		cfg.CongestionControl = defaultCongestion
	}
	if cfg.CongestionControl != "reno" && cfg.CongestionControl != "cubic" {
		return fmt.Errorf("congestion control %q is neither reno nor cubic", cfg.CongestionControl)
	}
	if cfg.SendBuffer == 0 {
		cfg.SendBuffer = defaultTCPBuffer
	}
	if cfg.ReceiveBuffer == 0 {
		cfg.ReceiveBuffer = defaultTCPBuffer
	}
	if cfg.SendBuffer < tcp.MinBufferSize || cfg.ReceiveBuffer < tcp.MinBufferSize {
		return fmt.Errorf("TCP buffers of less than %d bytes", tcp.MinBufferSize)
	}
	if cfg.MaxRTO == 0 {
		cfg.MaxRTO = defaultMaxRTO
	}
	if cfg.MaxRTO < tcp.MinRTO || cfg.MaxRTO > tcp.MaxRTO {
		return fmt.Errorf("MaxRTO %v is not between %v and %v", cfg.MaxRTO, tcp.MinRTO, tcp.MaxRTO)
	}
	return nil
}

func (cfg *HostConfig) hasV6() bool {
	return cfg.IPv6 != IPv6Static || slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}
