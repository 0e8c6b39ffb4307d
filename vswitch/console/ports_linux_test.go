// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// TestChangesOfOthersStay has the program change a port while a command does: the command
// changes what it is about, and undoes nothing that the program has set.
func TestChangesOfOthersStay(t *testing.T) {
	ports := make(map[int]vswitch.PortConfig)
	for n := range 300 {
		ports[n] = vswitch.PortConfig{} // listing them takes so long that the changes meet
	}
	r := start(t, vswitch.Config{NumPorts: 300, Ports: ports}, console.Options{})
	s := r.open(t)
	s.run("vlan/create 9")
	rng := rand.New(rand.NewPCG(1, 2))
	var usual time.Duration // that a command takes
	for i := range 100 {
		command := []string{"vlan/addport 9 3", "vlan/delport 9 3", "port/setvlan 3 9", "port/allocatable 3 0"}[i%4]
		begin := time.Now()
		s.send(command + "\n")
		for delay := time.Duration(rng.Int64N(int64(usual) + 1)); time.Since(begin) < delay; {
			runtime.Gosched()
		}
		if err := r.sw.SetPort(3, vswitch.PortConfig{StormLimit: i + 1}); err != nil {
			t.Fatal(err)
		}
		if got := s.answer(); got != success {
			t.Errorf("%s: %q", command, got)
		}
		usual = time.Since(begin)
		if pc, err := r.sw.Port(3); err != nil || pc.StormLimit != i+1 {
			t.Fatalf("%s: the storm limit is %d, %v, and was set to %d", command, pc.StormLimit, err, i+1)
		}
	}
}
