// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vde"
)

// Defaults of [Config] and [PortConfig].
const (
	DefaultNumPorts      = 4096
	DefaultMaxFDBEntries = 65536
	DefaultAgeingTime    = 100 * time.Second // as vde_switch
	DefaultWait          = 20 * time.Millisecond
	DefaultQueue         = 512 // frames
	DefaultWriteBuffer   = 512 << 10
	DefaultMaxPending    = 4096
	DefaultTimeout       = 10 * time.Second

	DefaultMaxSharedMemory = 256 << 20
)

// MaxFrameSizeLimit is the largest [Config.MaxFrameSize].
const MaxFrameSizeLimit = 65550

// maxWriteBuffer is the largest [Config.WriteBuffer]: the kernel doubles it in 32 bits.
const maxWriteBuffer = 1<<30 - 1

// Bounds of [Config.LoopInterval].
const (
	minLoopInterval = 10 * time.Millisecond
	maxLoopInterval = time.Hour
)

// maxNumPorts is the largest [Config.NumPorts]: what a request can name.
const maxNumPorts = 1<<23 - 1

// A Config describes a [Switch]. The zero Config works.
type Config struct {
	// Name is what LocalAddr of in-process ports shows (default "vswitch").
	Name string

	// NumPorts is the highest port number (default 4096, more than vde_switch's
	// 32 because an unused port costs nothing here). Port 0, the management
	// port, exists besides and is given only to clients that ask for it.
	NumPorts int

	// Hub makes the switch start in hub mode; see [Switch.SetHub].
	Hub bool

	// KeepTags makes every port a trunk of all VLANs whose tags are never added, removed
	// or changed, as in the nodes of libvdeplug: VLAN and Tagged of ports have no
	// effect. The identifier in the tag of a frame, or 0, only tells addresses in
	// different VLANs apart.
	KeepTags bool `json:",omitempty"`

	// MaxFrameSize is the length in bytes of the longest frame taken, header
	// included (default [frame.DefaultMaxSize], at most [MaxFrameSizeLimit]).
	// Longer ones are dropped and counted. Of a GSO frame it bounds the segments,
	// not the frame itself.
	MaxFrameSize int

	// AgeingTime is how long an FDB entry is kept after the last frame from its
	// address (default 100 s; [Forever], any negative time, or one of more than 73
	// years: without a bound).
	AgeingTime time.Duration

	// MaxFDBEntries bounds the FDB (default 65536). Addresses seen while it is
	// full are not learned: frames for them are flooded, and counted. A port with a
	// MACLimit drops frames from them.
	MaxFDBEntries int

	// DefaultPort is the configuration of ports that Ports does not name.
	DefaultPort PortConfig

	// Ports configures single ports, by number.
	Ports map[int]PortConfig

	// PortGroups are further control sockets beside ctl, by file name.
	PortGroups map[string]PortGroup

	// SharedMemory says which clients' offers of shared memory are accepted
	// (default: those of the user that this process runs as). The frames of other
	// clients go through streams or sockets.
	SharedMemory vde.SharedMemory

	// NoStreams has the frames of clients that offer to send them over the control
	// stream, many in one message, go through sockets; see [vde.WithStreams].
	NoStreams bool

	// NoPolling has goroutines that receive from shared memory sleep at once where
	// they would look for an answer for up to 200 µs first. It takes less processor
	// time, and answers arrive some tens of microseconds later.
	NoPolling bool

	// MaxSharedMemory bounds the memory, in bytes, of the rings of all clients
	// together (default 256 MiB; a client of the default frame size offers 1 MiB, one
	// of the longest frames 32 MiB). An offer of more than a quarter of what is left is
	// not accepted, so that a few large ones leave room for others; such a client's
	// frames go through a stream or sockets.
	MaxSharedMemory int64

	// LoopInterval is how often probes are sent from each port whose LoopProtection
	// asks for them (default 1 s). A port blocked because of a loop is opened again
	// when none has come back for 10 to 15 intervals.
	LoopInterval time.Duration

	// Admit, if not nil, decides about each client of a control socket whose
	// request is valid: it returns the port to give it (p.Port leaves the choice
	// as it is), or an error to refuse it, which is logged. It may be called by
	// several goroutines at once.
	Admit func(p Peer) (port int, err error) `json:"-"`

	// Mode, DirMode and Group are the permissions of what Serve makes. With
	// neither mode given, ctl has 0600 and the directory 02700. Mode alone also
	// opens the directory for those it lets in, with the sticky bit if they may write
	// to it; DirMode alone gives the sockets its read and write bits. A directory that was there keeps its own
	// permissions unless one of the three is given.
	Mode    fs.FileMode
	DirMode fs.FileMode
	Group   string // a name or a number

	// WriteBuffer is the size in bytes of the queue in the kernel to each socket
	// client (default 512 KiB, which holds some 1,360 frames of 60 bytes or 450 of
	// 1514). The kernel doubles the figure for its own overhead. Without
	// CAP_NET_ADMIN it is capped at the sysctl net.core.wmem_max. A GSO frame of
	// 64 KiB needs as much.
	WriteBuffer int

	// MaxPending bounds the connections whose request has not been answered yet
	// (default 4096, or NumPorts if that is more; at most a quarter of the
	// descriptors that the process may open). One more closes the oldest of those
	// that have sent nothing, of the user who has most of them. Of one user no more
	// than half as many are answered at a time, so that an Admit that takes long for
	// them leaves places for others. HandshakeTimeout is how long a request may take
	// to come (default 10 s).
	MaxPending       int
	HandshakeTimeout time.Duration

	// Logger gets refusals, and endpoints that come and go (default: nothing is
	// logged). One goroutine calls its handler, in the order of what happened and
	// with no lock held, so the handler may take its time and call methods of the
	// switch. At most 1024 records wait for it; how many more were lost is logged.
	// Close waits for it for up to 2 seconds.
	Logger *slog.Logger `json:"-"`
}

// A PortConfig describes one port, or all those not described on their own.
// The zero PortConfig is an access port of VLAN 0 with the policy [Backpressure].
type PortConfig struct {
	// VLAN is the untagged VLAN (default 0, which every port not told otherwise
	// is in; [NoVLAN] for none): frames without a tag are of this VLAN, and
	// frames of this VLAN leave without a tag. So are frames with a priority tag, one
	// of VLAN 0, unless 0 is in Tagged. Service tags (0x88a8, 0x9100) count as payload.
	VLAN uint16

	// Tagged are the VLANs, 0 to 4094, whose frames arrive and leave with a tag.
	// [AllVLANs] makes a trunk. A port without any is an access port: it takes frames
	// without a tag, or with a priority tag and no other behind it.
	Tagged []uint16 `json:",omitempty"`

	// Policy decides what happens to frames for this port when its queue is
	// full. Wait bounds the delay of [Backpressure] (default 20 ms: on a busy
	// machine a reader may well be without a processor for 10; [Forever]).
	Policy Policy
	Wait   time.Duration

	// Queue is the number of frames an in-process port can hold, rounded up to a
	// power of two, and under [HeadDrop] the queue in front of the kernel's of a
	// socket client (default 512). It takes effect for endpoints attached later.
	Queue int

	// Isolated keeps frames from this port off the other isolated ports: they go only
	// to ports that are not, in hub mode too. If there is one such port in hub mode,
	// frames wait for room there as those for a single port do.
	Isolated bool `json:",omitempty"`

	// Reserved keeps the port for endpoints that ask for it by its number. It belongs in
	// Config.Ports, not in a configuration of many ports.
	Reserved bool `json:",omitempty"`

	// RoundRobin, in hub mode, sends each frame from this port to one other port, to
	// each in turn, beginning with the second. It waits for room there as a frame for
	// a single port does.
	RoundRobin bool `json:",omitempty"`

	// LoopProtection says whether probes are sent from this port to find loops
	// (default: if one of its endpoints is an uplink).
	LoopProtection LoopProtection `json:",omitzero"`

	// StormLimit bounds the frames per second from this port that are flooded,
	// with bursts of a tenth of that or 64, whichever is more (default 0: no
	// limit). A GSO frame that has to be segmented passes or is dropped as a
	// whole, and counts as its segments.
	StormLimit int

	// MACLimit bounds the FDB entries of this port; frames from further addresses
	// are dropped, and from those that there is no room for in the FDB (default 0: no
	// limit; negative: only those in Static). The place of an entry that has expired
	// is free at once if the limit is at most 64, and soon after otherwise.
	MACLimit int

	// Static are FDB entries of this port that do not age. Frames from these
	// addresses on another port are dropped.
	Static []StaticEntry `json:",omitempty"`

	// Impair simulates a bad network between the port and each of its endpoints: In is
	// for frames from them, before the switch does anything with them, Out for frames to
	// them, mirrored ones and the switch's own probes included. Queue is at most 1,048,576
	// here, and [DefaultImpairQueue] if it is zero; Delay and Jitter are at most an hour.
	// Out has segments of GSO frames. A GSO frame that comes in is delayed, lost or
	// duplicated as one frame, and takes as many places of Queue as it is times as long
	// as Config.MaxFrameSize. So the buffers of what is under way take 10 MB for a direction
	// of an endpoint, with the default Queue and the default MaxFrameSize.
	//
	// When Impair is changed, no frame that is under way arrives later than it would if
	// it entered then, and none arrives before an earlier one for it: without impairments
	// all of them arrive at once, before later ones. When an endpoint ends, what is under
	// way from it or to it is dropped.
	//
	// Random numbers begin anew with each endpoint, and when Seed is changed. They depend
	// on Seed and on the number of the port.
	Impair impair.Config `json:",omitzero"`
}

// A StaticEntry is a MAC address in a VLAN.
type StaticEntry struct {
	MAC  frame.MAC
	VLAN uint16
}

// Forever makes [Backpressure] delay without a bound: no frame is dropped for a
// full queue, except what is flooded, but a port that stops reading stops every
// port that sends to it. It suits networks of two. As an ageing time it keeps
// FDB entries for ever.
const Forever time.Duration = -1

// A Policy says what happens to a frame for a port whose queue is full. Frames
// that are flooded or mirrored never wait: under [Backpressure] they are
// dropped as under [TailDrop].
type Policy int

const (
	// Backpressure delays the sender, by no more than [PortConfig.Wait] for one
	// batch of up to 64 frames; then the rest of what the batch has for this
	// port is dropped. After five time-outs senders do not wait for this port
	// again until it takes a frame.
	//
	// However slowly ports read, and however many do, they keep a sender from its
	// frames for other ports for at most a 20th of its time, and 50 ms that it has
	// saved before. Beyond that it waits only for ports for which it delays nothing
	// for a port that has nothing left to read, and its frames for others are dropped
	// while the queue is full. So nothing is lost between two ports, however slow the
	// reader is, as long as it takes frames within Wait and the sender has nothing for
	// others. A Wait of [Forever] has no such bound.
	Backpressure Policy = iota

	// TailDrop drops the frame.
	TailDrop

	// HeadDrop drops the frame that has waited longest instead.
	HeadDrop
)

var policyNames = [...]string{"backpressure", "tail-drop", "head-drop"}

// String returns "backpressure", "tail-drop" or "head-drop".
func (p Policy) String() string {
	if p < 0 || int(p) >= len(policyNames) {
		return fmt.Sprintf("Policy(%d)", int(p))
	}
	return policyNames[p]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Policy) UnmarshalText(b []byte) error {
	for i, name := range policyNames {
		if string(b) == name {
			*p = Policy(i)
			return nil
		}
	}
	return fmt.Errorf("unknown policy %q, want one of %s", b, strings.Join(policyNames[:], ", "))
}

// A PortGroup is a range of ports with a control socket of its own: clients
// that join there get the lowest free port from First to Last.
type PortGroup struct {
	First, Last int

	// DefaultPort configures the ports of the range that [Config.Ports] does not name.
	DefaultPort PortConfig
}

// A Peer is a client of a control socket, asking for a port.
type Peer struct {
	// UID, GID and PID are what the kernel says about the client. What it could
	// claim itself, such as the owner of a file it names, is not looked at.
	UID, GID uint32
	PID      int32

	Dir         string // the control directory
	Group       string // the port group's name; empty at ctl
	Port        int    // 0 for any; [Management] for port 0
	Description string // as the client gave it, made printable
	Path        string // of the client's data socket; '@' begins an abstract name
}

// Management stands for port 0 where 0 means any port.
const Management = -1

// normalize returns c with its defaults filled in.
func (c Config) normalize() (Config, error) {
	setDefault(&c.Name, "vswitch")
	setDefault(&c.NumPorts, DefaultNumPorts)
	setDefault(&c.MaxFrameSize, frame.DefaultMaxSize)
	setDefault(&c.AgeingTime, DefaultAgeingTime)
	setDefault(&c.MaxFDBEntries, DefaultMaxFDBEntries)
	setDefault(&c.WriteBuffer, DefaultWriteBuffer)
	setDefault(&c.MaxPending, max(DefaultMaxPending, c.NumPorts))
	setDefault(&c.MaxSharedMemory, DefaultMaxSharedMemory)
	setDefault(&c.HandshakeTimeout, DefaultTimeout)
	setDefault(&c.LoopInterval, DefaultLoopInterval)
	switch {
	case c.NumPorts < 1 || c.NumPorts > maxNumPorts:
		return c, configError("NumPorts is %d, want 1 to %d", c.NumPorts, maxNumPorts)
	case c.MaxFrameSize < frame.HeaderLen+frame.TagLen || c.MaxFrameSize > MaxFrameSizeLimit:
		return c, configError("MaxFrameSize is %d, want %d to %d", c.MaxFrameSize, frame.HeaderLen+frame.TagLen, MaxFrameSizeLimit)
	case c.MaxFDBEntries < 1:
		return c, configError("MaxFDBEntries is %d, want a positive number", c.MaxFDBEntries)
	case c.WriteBuffer > maxWriteBuffer:
		return c, configError("WriteBuffer is %d, want at most %d", c.WriteBuffer, maxWriteBuffer)
	case c.MaxSharedMemory < 0:
		return c, configError("MaxSharedMemory is %d, want a number of bytes", c.MaxSharedMemory)
	case c.WriteBuffer < 0 || c.MaxPending < 0 || c.HandshakeTimeout < 0:
		return c, configError("WriteBuffer, MaxPending and HandshakeTimeout must not be negative")
	case c.LoopInterval < minLoopInterval || c.LoopInterval > maxLoopInterval:
		return c, configError("LoopInterval is %v, want %v to %v", c.LoopInterval, minLoopInterval, maxLoopInterval)
	case c.SharedMemory < vde.SharedMemorySameUser || c.SharedMemory > vde.SharedMemoryNever:
		return c, configError("SharedMemory is %d", int(c.SharedMemory))
	case c.Mode&^0o777 != 0 || c.DirMode&^(fs.ModePerm|fs.ModeSetgid|fs.ModeSticky) != 0:
		return c, configError("Mode %#o, DirMode %#o: only permission bits are possible", c.Mode, c.DirMode)
	}
	return c.normalizePorts()
}

// normalizePorts is the part of normalize that is about ports.
func (c Config) normalizePorts() (Config, error) {
	var err error
	if c.DefaultPort, err = c.DefaultPort.normalizeDefault(); err != nil {
		return c, configError("DefaultPort: %w", err)
	}
	groups := make(map[string]PortGroup, len(c.PortGroups))
	for name, g := range c.PortGroups {
		if err := g.check(name, c.NumPorts); err != nil {
			return c, configError("PortGroups[%q]: %w", name, err)
		}
		for other, o := range groups {
			if g.First <= o.Last && o.First <= g.Last {
				return c, configError("PortGroups[%q]: port %d is also in group %q", name, max(g.First, o.First), other)
			}
		}
		if g.DefaultPort, err = g.DefaultPort.normalizeDefault(); err != nil {
			return c, configError("PortGroups[%q]: %w", name, err)
		}
		groups[name] = g
	}
	ports := make(map[int]PortConfig, len(c.Ports))
	for n, p := range c.Ports {
		if n < 0 || n > c.NumPorts {
			return c, configError("Ports[%d]: there are ports 0 to %d", n, c.NumPorts)
		}
		if ports[n], err = p.normalize(); err != nil {
			return c, configError("Ports[%d]: %w", n, err)
		}
	}
	c.PortGroups, c.Ports = groups, ports
	return c, nil
}

// check reports what is wrong with the range of g; there are ports 0 to last.
func (g PortGroup) check(name string, last int) error {
	if err := checkGroupName(name); err != nil {
		return err
	}
	if g.First < 1 || g.Last < g.First || g.Last > last {
		return fmt.Errorf("ports %d to %d, want a range within 1 to %d", g.First, g.Last, last)
	}
	return nil
}

// normalizeDefault is normalize for the configuration of several ports.
func (c PortConfig) normalizeDefault() (PortConfig, error) {
	switch {
	case len(c.Static) > 0:
		return c, errors.New("a static entry belongs to one port; name the port in Ports")
	case c.Reserved:
		return c, errors.New("not all ports can be reserved; name those that are in Ports")
	}
	return c.normalize()
}

// checkGroupName keeps port groups apart from the switch's other files.
func checkGroupName(name string) error {
	switch {
	case name == "" || name == "ctl" || name[0] == '.' || strings.ContainsAny(name, "/\x00"):
		return errors.New("not usable as the name of a socket beside ctl")
	case strings.Trim(name, "0123456789") == "":
		// libvdeplug asks for the port of that number at such a socket too, on
		// a connection that it has used up (docs/spec/vde-protocol.md, section 7).
		return errors.New("libvdeplug cannot join a group whose name is a number")
	case strings.Trim(name, "0123456789.") == "":
		return errors.New("data sockets have such names")
	}
	return nil
}

// normalize returns c with its defaults filled in.
func (c PortConfig) normalize() (PortConfig, error) {
	setDefault(&c.Wait, DefaultWait)
	setDefault(&c.Queue, DefaultQueue)
	switch {
	case c.VLAN > maxVLAN && c.VLAN != NoVLAN:
		return c, configError("VLAN is %d, want 0 to %d or NoVLAN", c.VLAN, maxVLAN)
	case c.Policy < 0 || int(c.Policy) >= len(policyNames):
		return c, configError("Policy is %d", c.Policy)
	case c.LoopProtection < 0 || int(c.LoopProtection) >= len(loopProtectionNames):
		return c, configError("LoopProtection is %d", c.LoopProtection)
	case c.Wait < 0 && c.Wait != Forever:
		return c, configError("Wait is %v, want a positive time or Forever", c.Wait)
	case c.Queue < 1 || c.Queue > 1<<20:
		return c, configError("Queue is %d, want 1 to %d", c.Queue, 1<<20)
	case c.StormLimit < 0:
		return c, configError("StormLimit is %d, want a number of frames per second", c.StormLimit)
	}
	if err := checkImpair(c.Impair); err != nil {
		return c, err
	}
	for _, v := range c.Tagged {
		if v > maxVLAN {
			return c, configError("Tagged: %d, want 0 to %d", v, maxVLAN)
		}
	}
	for _, s := range c.Static {
		switch {
		case s.MAC.IsGroup():
			return c, configError("Static: %v is a group address, want a unicast MAC address", s.MAC)
		case s.VLAN > maxVLAN:
			return c, configError("Static: %v in VLAN %d, want VLAN 0 to %d", s.MAC, s.VLAN, maxVLAN)
		}
	}
	return c, nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// configError returns an error that begins with the name of a field.
func configError(format string, args ...any) error { return fmt.Errorf(format, args...) }
