// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"testing"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestGetSwitch(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 7, Hub: true}, api.Options{Version: "v1.2.3", Dirs: []string{"/run/lab.ctl"}}, api.Access{})
	l.attach(vde.WithPort(3))
	m, err := l.client.GetSwitch(t.Context(), &pb.GetSwitchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s := m.GetSwitch()
	if s.GetVersion() != "v1.2.3" || len(s.GetDirs()) != 1 || s.GetConfig().GetNumPorts() != 7 || !s.GetHub() || s.GetActivePorts() != 1 || s.GetEndpoints() != 1 {
		t.Errorf("switch %v", s)
	}
}
