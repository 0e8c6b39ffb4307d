// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gvisor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/go-vde/sdk/internal/testpeers"
)

// TestSettings reads the settings of TCP back from a Host and from a bare stack, and
// expects them to be the same, and not to be gVisor's defaults.
func TestSettings(t *testing.T) {
	read := func(s *stack.Stack) []Setting {
		t.Helper()
		list, err := Settings(s)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	var host []Setting
	if err := withHost(func(s *stack.Stack) error {
		host = read(s)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	bare, err := newStack()
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Destroy()
	if got := read(bare); !slices.Equal(got, host) {
		t.Errorf("a bare stack has\n%v\nand a Host\n%v", got, host)
	}
	plain := stack.New(stack.Options{TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol}})
	defer plain.Destroy()
	differ := map[string]bool{}
	for i, s := range read(plain) {
		differ[s.Name] = s != host[i]
	}
	for _, name := range []string{"TCPRecovery", "TCPMaxRTO", "TCPMaxRetries"} {
		if !differ[name] {
			t.Errorf("%s of a Host is gVisor's default", name)
		}
	}
}

// TestAllSettings expects each option of TCP that gVisor has among those that are
// copied from a Host.
func TestAllSettings(t *testing.T) {
	testpeers.Need(t, "go")
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "gvisor.dev/gvisor/pkg/tcpip").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "tcpip.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "isSettableTransportProtocolOption" {
			continue
		}
		name := f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
		if name != "TCPAvailableCongestionControlOption" { // a list of what there is
			want = append(want, name)
		}
	}
	var got []string
	for _, o := range newOptions() {
		got = append(got, reflect.TypeOf(o).Elem().Name())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("copied are\n%v\nof\n%v", got, want)
	}
}
