// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"reflect"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vswitch"
)

// A section is a struct of the file, and a table of docs/configuration.md.
type section struct {
	name string // in the document and the schema
	typ  reflect.Type
	keys map[string]about // what its keys mean
}

// about says what a key means, and what holds without it, where that is more than the
// zero value or what a switch without a configuration has.
type about struct{ meaning, without string }

// sections describes all keys of a file. TestDescribed checks that there are no others.
var sections = []section{
	{"file", reflect.TypeFor[File](), map[string]about{
		"dir":               {"control directory, where other programs join the switch", "the argument of the command"},
		"name":              {"name of the switch in counters", ""},
		"num-ports":         {"highest port number", ""},
		"hub":               {"be a hub: every frame to every port", ""},
		"keep-tags":         {"make every port a trunk whose tags are never added or removed", ""},
		"max-frame-size":    {"length of the longest frame in bytes, header included", ""},
		"ageing-time":       {"how long an FDB entry is kept after the last frame from its address", ""},
		"max-fdb-entries":   {"bound of the FDB; addresses seen while it is full are not learned", ""},
		"default-port":      {"settings of ports about which nothing else is said", "see [Ports](#ports)"},
		"ports":             {"settings of single ports, by number; what is not given is as in default-port, or in that of the port's group", "none"},
		"port-groups":       {"further control sockets beside ctl, by file name, each with a range of ports", "none"},
		"shared-memory":     {"whose frames may go through shared memory", ""},
		"no-streams":        {"send one frame in a message to programs that do not share memory", ""},
		"no-polling":        {"sleep at once where an answer is expected through shared memory: less processor time, later answers", ""},
		"max-shared-memory": {"bound, in bytes, of the shared memory of all clients together", ""},
		"loop-interval":     {"how often probes are sent to find loops", ""},
		"mode":              {"permissions of the sockets", "`0600`"},
		"dir-mode":          {"permissions of the control directory", "`02700`, or what mode lets in"},
		"group":             {"group of the control directory and the sockets, a name or a number", "that of the process"},
		"write-buffer":      {"size in bytes of the kernel's queue to a client with a socket", ""},
		"max-pending":       {"how many requests of clients may wait for an answer", "the higher of 4096 and num-ports"},
		"handshake-timeout": {"how long a client's request may take to come", ""},
		"uplinks":           {"networks that the switch is joined to; a locator alone stands for a mapping that has no other key", "none"},
		"mirrors":           {"ports whose frames are copied to another port; SRC:DST stands for a mapping", "none"},
		"console":           {"socket that speaks the management protocol of vde_switch", "none"},
		"api":               {"socket of the API", "the socket api in the control directory"},
		"http":              {"serve the API on TCP; an address alone stands for a mapping", "not"},
		"metrics":           {"address of the page for Prometheus, HOST:PORT; without a host, this machine only", "none"},
		"log":               {"what to log", ""},
	}},
	{"port", reflect.TypeFor[vswitch.PortConfig](), map[string]about{
		"vlan":            {"the untagged VLAN, 0 to 4094, or none", ""},
		"tagged":          {"VLANs whose frames arrive and leave with a tag; all for a trunk of 1 to 4094", "none"},
		"policy":          {"what happens to frames for a port whose queue is full", ""},
		"wait":            {"longest delay at a full queue under the policy backpressure", ""},
		"queue":           {"frames that the queue of the switch for the port holds", ""},
		"reserved":        {"keep the port for endpoints that ask for it by its number", ""},
		"isolated":        {"keep frames of this port off other isolated ports", ""},
		"round-robin":     {"in hub mode, send each frame from this port to one other port, in turn", ""},
		"loop-protection": {"whether probes are sent from this port to find loops; auto: if it is an uplink", ""},
		"storm-limit":     {"bound of the frames per second from this port that are flooded; 0: none", ""},
		"mac-limit":       {"bound of the FDB entries of this port; 0: none; negative: only those in static", ""},
		"static":          {"FDB entries of this port that do not age; not in default-port", "none"},
		"impair":          {"a bad network between the port and each program that is attached to it", "none"},
	}},
	{"impairments", reflect.TypeFor[impair.Config](), map[string]about{
		"seed": {"of the random numbers: with the same one, the same frames meet the same fate", ""},
		"in":   {"what happens to frames from what is attached to the port", "nothing"},
		"out":  {"what happens to frames to what is attached to the port", "nothing"},
	}},
	{"impairment", reflect.TypeFor[impair.Impairment](), map[string]about{
		"delay":     {"how long a frame is under way, at most an hour", ""},
		"jitter":    {"largest deviation from the delay; it does not change the order of frames", ""},
		"loss":      {"probability that a frame is lost", ""},
		"duplicate": {"probability that a frame arrives twice", ""},
		"reorder":   {"probability that a frame skips the delay, and so overtakes others", ""},
		"rate":      {"bits per second, also as 64k, 10M or 1G; 0: no limit", ""},
		"queue":     {"frames that may be under way for each program that is attached; further ones are dropped", "`1024`"},
	}},
	{"port-group", reflect.TypeFor[vswitch.PortGroup](), map[string]about{
		"first":        {"lowest port of the group", "has to be given"},
		"last":         {"highest port of the group", "has to be given"},
		"default-port": {"settings of the group's ports; what is not given is as in the default-port of the switch", "as that"},
	}},
	{"static-entry", reflect.TypeFor[vswitch.StaticEntry](), map[string]about{
		"mac":  {"MAC address", "has to be given"},
		"vlan": {"its VLAN, 0 to 4094", ""},
	}},
	{"uplink", reflect.TypeFor[Uplink](), map[string]about{
		"locator":     {"network to join, such as the control directory of another switch, `hub:///run/hub.ctl` or `vxlan://10.0.0.2`", "has to be given"},
		"port":        {"port of the uplink", "the lowest free one"},
		"description": {"what is shown of the uplink", "the locator"},
		"required":    {"end if the first attempt to open the uplink fails", ""},
		"min-delay":   {"first pause between attempts to open it", "`50ms`"},
		"max-delay":   {"longest pause between attempts to open it", "`5s`"},
	}},
	{"mirror", reflect.TypeFor[Mirror](), map[string]about{
		"src": {"port whose frames are copied", ""},
		"dst": {"port that gets the copies", ""},
	}},
	{"console", reflect.TypeFor[Socket](), map[string]about{
		"path":  {"path of the socket", "has to be given"},
		"mode":  {"permissions of the socket", "`0600`"},
		"group": {"group of the socket, a name or a number", "that of the process"},
	}},
	{"api", reflect.TypeFor[API](), map[string]about{
		"path":     {"path of the socket", "api in the control directory"},
		"mode":     {"permissions of the socket", "`0600`"},
		"group":    {"group of the socket, a name or a number", "that of the process"},
		"disabled": {"serve no API", ""},
	}},
	{"http", reflect.TypeFor[HTTP](), map[string]about{
		"address":    {"HOST:PORT; without a host, this machine only", "has to be given"},
		"write":      {"allow changes and captures", ""},
		"token-file": {"file whose first line is the token; needed if others can reach the address", "a new token, which is printed"},
	}},
}
