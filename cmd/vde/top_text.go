// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/cmd/vde/internal/top"
)

// topSwitch returns what the page says of a switch.
func topSwitch(s *pb.Switch) top.Switch {
	return top.Switch{
		Name:    printable(cmp.Or(strings.Join(s.GetDirs(), " "), s.GetName())),
		Started: s.GetStarted().AsTime(), FDB: int(s.GetFdbEntries()), Endpoints: int(s.GetEndpoints()),
		Active: int(s.GetActivePorts()), Ports: int(s.GetConfig().GetNumPorts()), Hub: s.GetHub(), ReadOnly: s.GetReadOnly(),
	}
}

// topPort returns what the page says of a port that is copied to the ports mirrors.
func topPort(p *pb.Port, mirrors []int) top.Port {
	impairment := impairmentOf(p.GetConfig())
	t := top.Port{
		Number: int(p.GetNumber()), Name: endpointText(p.GetEndpoints()), VLAN: vlanText(p.GetConfig()), FDB: int(p.GetFdbEntries()),
		Active: len(p.GetEndpoints()) > 0, Blocked: p.GetLoop().GetBlocked(), Impaired: impairment != "", Mirrors: mirrors,
		Details: []string{configText(p.GetConfig())},
	}
	if impairment != "" {
		t.Details = append(t.Details, impairment)
	}
	for _, e := range p.GetEndpoints() {
		t.Down = t.Down || e.GetDown()
		t.Details = append(t.Details, endpointLine(e))
	}
	return t
}

// endpointLine says all about an endpoint.
func endpointLine(e *pb.Endpoint) string {
	line := fmt.Sprintf("endpoint %d: %s, %s, since %s", e.GetId(), printable(e.GetDescription()), printable(e.GetKind()), e.GetSince().AsTime().Local().Format("2006-01-02 15:04:05"))
	if e.GetPid() > 0 {
		line += fmt.Sprintf(", process %d of user %d", e.GetPid(), e.GetUid())
	}
	if e.GetQueued() > 0 {
		line += fmt.Sprintf(", %d waiting", e.GetQueued())
	}
	if e.GetOffload() != "" {
		line += ", offload " + printable(e.GetOffload())
	}
	return line
}

// configText says how a port is configured, without its VLANs.
func configText(c *pb.PortConfig) string {
	texts := []string{"policy " + printable(c.GetPolicy())}
	if d := c.GetWait().AsDuration(); d != 0 {
		texts = append(texts, "wait "+d.String())
	}
	for _, n := range []struct {
		name  string
		value int64
	}{{"queue", int64(c.GetQueue())}, {"storm limit", int64(c.GetStormLimit())}, {"MAC limit", int64(c.GetMacLimit())}, {"static addresses", int64(len(c.GetStatic()))}} {
		if n.value != 0 {
			texts = append(texts, fmt.Sprintf("%s %d", n.name, n.value))
		}
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"isolated", c.GetIsolated()}, {"reserved", c.GetReserved()}, {"round-robin", c.GetRoundRobin()}} {
		if f.on {
			texts = append(texts, f.name)
		}
	}
	return strings.Join(append(texts, "loop protection "+printable(c.GetLoopProtection())), ", ")
}

// impairmentOf says how a port is impaired, or nothing if it is not.
func impairmentOf(c *pb.PortConfig) (text string) {
	c.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !strings.HasPrefix(string(f.Name()), "impair") {
			return true
		}
		text = string(f.Name()) + " " + v.String()
		if f.Message() != nil && !f.IsList() && !f.IsMap() {
			text = string(f.Name()) + " " + protojson.Format(v.Message().Interface())
		}
		text = printable(strings.Join(strings.Fields(text), " "))
		return false
	})
	return text
}
