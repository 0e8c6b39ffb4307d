// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// A SwitchConfig describes a vde_switch. The zero value is a switch with the program's defaults and a
// management socket, in a directory of its own.
type SwitchConfig struct {
	Dir       string      // control directory; default: a new one. Its parent must exist
	Ports     int         // number of ports; default 32
	Hub       bool        // every frame to every port, no learning
	Mode      fs.FileMode // of the control and data sockets; default 0600
	DirMode   fs.FileMode // of the control directory; default derived from Mode
	Group     string      // of directory and sockets
	NoMgmt    bool        // no management socket: Console, Ports and FDB will not work
	MgmtMode  fs.FileMode // of the management socket; default 0600
	MgmtGroup string      // of the management socket
	Tap       []string    // tap interfaces to connect; needs CAP_NET_ADMIN
	User      *Credential // who runs the switch
	Namespace *Namespace  // where it runs, which matters to Tap only
	Args      []string    // further arguments
}

// A Switch is a running vde_switch.
type Switch struct {
	*Process
	dir, mgmt string

	consoleMu sync.Mutex
	console   *console // opened at first use; consoleMu held
}

// StartSwitch runs a vde_switch until the test ends, and returns when it accepts connections. It reads no
// configuration file of the machine.
func StartSwitch(t testing.TB, cfg SwitchConfig) *Switch {
	t.Helper()
	needRealPeers(t, "vde_switch")
	if len(cfg.Tap) > 0 {
		Need(t, "CAP_NET_ADMIN", "/dev/net/tun")
	}
	base := testutil.ShortDir(t)
	if cfg.User != nil {
		if err := os.Chown(base, int(cfg.User.UID), int(cfg.User.GID)); err != nil {
			t.Fatal(err)
		}
	}
	s := &Switch{dir: cfg.Dir}
	if s.dir == "" {
		s.dir = filepath.Join(base, "s")
	}
	args := []string{"vde_switch", "-f", "/dev/null", "-s", s.dir}
	if !cfg.NoMgmt {
		s.mgmt = filepath.Join(base, "m")
		args = append(args, "-M", s.mgmt)
	}
	octal := func(option string, mode fs.FileMode) {
		if mode != 0 {
			args = append(args, option, strconv.FormatUint(uint64(mode), 8))
		}
	}
	text := func(option, value string) {
		if value != "" {
			args = append(args, option, value)
		}
	}
	octal("--mode", cfg.Mode)
	octal("--dirmode", cfg.DirMode)
	text("--group", cfg.Group)
	if !cfg.NoMgmt {
		octal("--mgmtmode", cfg.MgmtMode)
		text("--mgmtgroup", cfg.MgmtGroup)
	}
	if cfg.Ports != 0 {
		args = append(args, "-n", strconv.Itoa(cfg.Ports))
	}
	if cfg.Hub {
		args = append(args, "-x")
	}
	for _, tap := range cfg.Tap {
		args = append(args, "-t", tap)
	}
	args = append(args, cfg.Args...)

	removeAtEnd(t, s.dir)
	t.Cleanup(s.hangup)
	s.Process = newProcess(t, ProcessConfig{Args: args, User: cfg.User, Namespace: cfg.Namespace})
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// removeAtEnd removes dir at the end of the test, unless it is there already. A peer that was killed
// leaves its directory.
func removeAtEnd(t testing.TB, dir string) {
	t.Helper()
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
}

// start runs the switch and waits until it listens.
func (s *Switch) start() error {
	s.hangup()
	if err := s.Process.start(); err != nil {
		return err
	}
	paths := []string{filepath.Join(s.dir, "ctl")}
	if s.mgmt != "" {
		paths = append(paths, s.mgmt)
	}
	return s.listening(paths...)
}

// listening waits until the process listens at all of paths.
func (p *Process) listening(paths ...string) error {
	ctx, cancel := bounded(context.Background())
	defer cancel()
	return p.await(ctx, func(ctx context.Context) error { return waitListening(ctx, p.PID(), paths...) })
}

// Dir returns the control directory.
func (s *Switch) Dir() string { return s.dir }

// VNL returns the switch's locator, vde:// and the directory.
func (s *Switch) VNL() string { return "vde://" + s.dir }

// Mgmt returns the path of the management socket, empty if there is none.
func (s *Switch) Mgmt() string { return s.mgmt }

// Restart stops the switch if it runs and starts it again with the same directory and options; also after Kill,
// whose leftovers vde_switch recognizes. It returns when the switch accepts connections.
func (s *Switch) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Errorf("restart: %v", err)
	}
}

// A Node is a running vde_plug that serves one of the nodes of libvdeplug.
type Node struct {
	*Process
	dir, vnl string
}

// StartNode runs a node of libvdeplug until the test ends and returns when it accepts connections: kind is "switch",
// "hub", "multi" or "bonding", params are elements of its locator such as "mode=666" or "hashsize=0". The node's
// owner ("the host" of multi and bonding) is a vde_plug that sends nothing and drops what it receives.
func StartNode(t testing.TB, kind string, params ...string) *Node {
	t.Helper()
	needRealPeers(t, "vde_plug")
	dir := filepath.Join(testutil.ShortDir(t), "n")
	n := &Node{dir: dir, vnl: kind + "://" + dir}
	if len(params) > 0 {
		n.vnl += "[" + strings.Join(params, "/") + "]"
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	// One locator, not "vde_plug null:// NODE": with two, vde_plug does not look at its standard input
	// and would outlive a crashed test.
	n.Process = newProcess(t, ProcessConfig{Args: []string{"vde_plug", n.vnl}, stdout: null})
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *Node) start() error {
	if err := n.Process.start(); err != nil {
		return err
	}
	return n.listening(filepath.Join(n.dir, "ctl"))
}

// Dir returns the control directory.
func (n *Node) Dir() string { return n.dir }

// VNL returns the locator that joins the node, vde:// and the directory.
func (n *Node) VNL() string { return "vde://" + n.dir }

// Restart stops the node if it runs and starts it again in the same directory. It removes the directory that a
// killed node has left, because libvdeplug refuses to serve one that exists.
func (n *Node) Restart() {
	n.t.Helper()
	n.Stop()
	err := os.RemoveAll(n.dir)
	if err == nil {
		err = n.start()
	}
	if err != nil {
		n.t.Errorf("restart: %v", err)
	}
}

// Console runs one command of the management console and returns the data lines of the answer, each with its
// newline. A status other than success is a [*ConsoleError]. All commands of a test share one session.
func (s *Switch) Console(command string) (string, error) {
	ctx, cancel := bounded(context.Background())
	defer cancel()
	c, err := s.session(ctx)
	if err != nil {
		return "", err
	}
	text, err := c.command(ctx, command)
	if err != nil && ctx.Err() != nil {
		s.hangup() // an answer that was cut off (very long ones are) will never end
	}
	return text, err
}

// session returns the console, opening it if need be.
func (s *Switch) session(ctx context.Context) (*console, error) {
	if s.mgmt == "" {
		return nil, errors.New("testpeers: this switch has no management socket")
	}
	s.consoleMu.Lock()
	defer s.consoleMu.Unlock()
	if s.console != nil {
		select {
		case <-s.console.done:
			s.console.close()
			s.console = nil
		default:
		}
	}
	if s.console == nil {
		c, err := dialConsole(ctx, s.mgmt)
		if err != nil {
			return nil, err
		}
		s.console = c
	}
	return s.console, nil
}

// hangup closes the console.
func (s *Switch) hangup() {
	s.consoleMu.Lock()
	defer s.consoleMu.Unlock()
	if s.console != nil {
		s.console.close()
		s.console = nil
	}
}

// Ports lists all ports of the switch, by number. Descriptions come from the clients and can forge lines of
// the list, so a test with hostile clients must not trust it.
func (s *Switch) Ports() ([]SwitchPort, error) {
	text, err := s.Console("port/allprint")
	if err != nil {
		return nil, err
	}
	return parsePorts(text), nil
}

// WaitPorts waits until cond holds for the list of ports and returns that list. It asks again at each event
// of the switch, so it returns as soon as cond holds. Without a deadline in ctx it waits at
// most 30 seconds. Traffic is no event, so cond must not depend on the counters.
func (s *Switch) WaitPorts(ctx context.Context, cond func([]SwitchPort) bool) ([]SwitchPort, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	c, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	if c.noEvents != nil {
		return nil, c.noEvents
	}
	for {
		changed := c.event() // before the question, so that no change is missed
		text, err := c.command(ctx, "port/allprint")
		if err != nil {
			return nil, err
		}
		ports := parsePorts(text)
		if cond(ports) {
			return ports, nil
		}
		select {
		case <-changed:
		case <-c.done:
			return ports, c.err
		case <-ctx.Done():
			return ports, fmt.Errorf("waiting for ports, now %+v: %w", ports, context.Cause(ctx))
		}
	}
}

// WaitEndpoint waits until the switch has an endpoint whose description contains text, and returns its port. From
// then on the switch forwards frames to the endpoint.
func (s *Switch) WaitEndpoint(ctx context.Context, text string) (SwitchPort, error) {
	var found SwitchPort
	_, err := s.WaitPorts(ctx, func(ports []SwitchPort) bool {
		for _, p := range ports {
			for _, e := range p.Endpoints {
				if strings.Contains(e.Description, text) {
					found = p
					return true
				}
			}
		}
		return false
	})
	return found, err
}

// WaitActive waits until exactly n ports have endpoints.
func (s *Switch) WaitActive(ctx context.Context, n int) error {
	_, err := s.WaitPorts(ctx, func(ports []SwitchPort) bool {
		active := 0
		for _, p := range ports {
			if p.Active {
				active++
			}
		}
		return active == n
	})
	return err
}

// A SwitchPort is one port of a switch.
type SwitchPort struct {
	Number      int
	Active      bool // it has at least one endpoint
	VLAN        int  // the untagged VLAN; 4095 means none
	Allocatable bool // may be given to a client that asks for any port
	User        string
	AllowUser   string // access list; "NONE" means no restriction
	AllowGroup  string
	InPackets   uint64 // from the endpoints into the switch; zero if the switch does not count
	InBytes     uint64
	OutPackets  uint64
	OutBytes    uint64
	Endpoints   []SwitchEndpoint // the newest first
}

// A SwitchEndpoint is one endpoint of a port: a client of the switch.
type SwitchEndpoint struct {
	ID          int
	Module      string // for example "unix prog" or "tuntap"
	Description string // whatever the client says about itself
}

// An FDBEntry is an entry of a switch's forwarding database: an address that it has learned.
type FDBEntry struct {
	MAC  [6]byte
	VLAN int
	Port int
}

// FDB returns the switch's forwarding database, in the switch's order.
func (s *Switch) FDB() ([]FDBEntry, error) {
	text, err := s.Console("hash/print")
	if err != nil {
		return nil, err
	}
	return parseTable(text)
}
