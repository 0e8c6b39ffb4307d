// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/console"
)

// nextEvent returns the text of the next event, which must be of the path.
func nextEvent(t *testing.T, client *console.Client, path string) string {
	t.Helper()
	e, err := client.NextEvent(t.Context())
	if err != nil || e.Path != path {
		t.Fatalf("%+v, %v, want %s", e, err, path)
	}
	return e.Text
}

// TestCompatQEMU joins QEMU to a switch in the background as its users do to vde_switch: a
// machine with -nic vde,sock=DIR, which keeps its port until it is killed, and one whose
// network passes frames on, in both directions.
func TestCompatQEMU(t *testing.T) {
	testpeers.Need(t, "qemu-system-x86_64")
	dir := testutil.ShortDir(t)
	ctl, mgmt := filepath.Join(dir, "ctl"), filepath.Join(dir, "mgmt")
	daemonize(t, filepath.Join(dir, "pid"), "-s", ctl, "-M", mgmt, "-m", "600")
	client, err := console.Dial(t.Context(), mgmt)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Subscribe(t.Context(), "port/ep/"); err != nil {
		t.Fatal(err)
	}

	machine := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{
		"qemu-system-x86_64", "-S", "-m", "16", "-display", "none", "-nic", "vde,sock=" + ctl,
	}})
	nextEvent(t, client, "port/ep/+")
	ports, err := client.Ports(t.Context(), false)
	if err != nil || len(ports) != 1 || ports[0].Number != 1 || len(ports[0].Endpoints) != 1 || ports[0].Endpoints[0].Module != "unix prog" ||
		!strings.Contains(ports[0].Endpoints[0].Description, "user=") {
		t.Errorf("%+v, %v", ports, err)
	}
	machine.Kill()
	nextEvent(t, client, "port/ep/-")

	behind := filepath.Join(dir, "behind")
	link, err := vde.Open(t.Context(), "stream://"+behind+"[server]", drivers())
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	station, err := vde.Open(t.Context(), ctl)
	if err != nil {
		t.Fatal(err)
	}
	defer station.Close()
	nextEvent(t, client, "port/ep/+") // of the station
	q := testpeers.StartQEMU(t, "stream,server=off,addr.type=unix,addr.path="+behind, "vde,sock="+ctl)
	nextEvent(t, client, "port/ep/+")
	for i := range byte(20) {
		f := stationFrame(1+i, 200)
		passes(t, station, link, f, f)
		f = append(stationFrame(200, 1+i), bytes.Repeat([]byte{i}, 1400)...)
		passes(t, link, station, f, f)
	}
	q.Kill()
	nextEvent(t, client, "port/ep/-")
}
