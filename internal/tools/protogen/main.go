// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Protogen compiles Protocol Buffers files to Go code without protoc: it compiles
// them itself and runs the plugins that it is given, which get and return what
// they would get from protoc. With -diff it writes nothing and fails if the code
// below the output directory is not what it would write.
//
//	protogen [-diff] -I DIR -o DIR -module PATH -plugin 'PROGRAM [PARAMETER,...]' ... FILE...
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	var g generator
	flag.StringVar(&g.include, "I", ".", "the directory that FILE and imports are relative to")
	flag.StringVar(&g.out, "o", ".", "the directory of the Go module")
	flag.StringVar(&g.module, "module", "", "the path of the Go module")
	flag.BoolVar(&g.diff, "diff", false, "only compare")
	flag.Func("plugin", "a program and its parameters; may be repeated", func(s string) error {
		g.plugins = append(g.plugins, s)
		return nil
	})
	flag.Parse()
	if err := g.run(context.Background(), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

type generator struct {
	include, out, module string
	plugins              []string
	diff                 bool
}

func (g *generator) run(ctx context.Context, names []string) error {
	if len(names) == 0 || len(g.plugins) == 0 {
		return errors.New("give files and plugins")
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{g.include}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, names...)
	if err != nil {
		return err
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := make(map[string]bool)
	for _, f := range files {
		addFile(request, f, seen)
	}
	var errs []error
	for _, plugin := range g.plugins {
		errs = append(errs, g.plugin(ctx, plugin, request))
	}
	return errors.Join(errs...)
}

// addFile adds the descriptor of f after those of the files that it imports.
func addFile(request *pluginpb.CodeGeneratorRequest, f protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		addFile(request, f.Imports().Get(i).FileDescriptor, seen)
	}
	request.ProtoFile = append(request.ProtoFile, protoutil.ProtoFromFileDescriptor(f))
}

// plugin runs one plugin and writes what it returns, or compares it.
func (g *generator) plugin(ctx context.Context, plugin string, request *pluginpb.CodeGeneratorRequest) error {
	program, parameters, _ := strings.Cut(plugin, " ")
	request.Parameter = proto.String(strings.Trim("module="+g.module+","+parameters, ","))
	in, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if response.Error != nil {
		return fmt.Errorf("%s: %s", program, response.GetError())
	}
	for _, file := range response.File {
		if err := g.put(file.GetName(), file.GetContent()); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file, or compares it with the one that is there.
func (g *generator) put(name, content string) error {
	path := filepath.Join(g.out, filepath.FromSlash(name))
	if !g.diff {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(content), 0o644)
	}
	is, err := os.ReadFile(path)
	if err == nil && string(is) != content {
		err = fmt.Errorf("%s is stale: run scripts/generate.sh", path)
	}
	return err
}
