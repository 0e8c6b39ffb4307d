// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var o jsonOption
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of Go",
		Long: `Prints the version of the module, the commit it was built from, the release of
Go, and the system it runs on. A program installed by go install PATH@VERSION
has a version and no commit. One built in a clone of the repository has a commit.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			v := versionOf(info)
			if o.json {
				return printJSON(cmd.OutOrStdout(), v)
			}
			return v.print(cmd.OutOrStdout())
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.registerJSON(cmd)
	return cmd
}

// develVersion is the version of a program that was not built from a published module.
const develVersion = "(devel)"

// A version tells what this program was built from.
type version struct {
	Module   string `json:"module"`
	Version  string `json:"version"`            // "(devel)" if it was not built from a published module
	Commit   string `json:"commit,omitempty"`   // not known of a published module
	Time     string `json:"time,omitempty"`     // of the commit
	Modified bool   `json:"modified,omitempty"` // the tree had changes beyond the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// versionOf returns what info, which may be nil, tells.
func versionOf(info *debug.BuildInfo) version {
	v := version{Version: develVersion, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info == nil {
		return v
	}
	v.Module = info.Main.Path
	v.Version = cmp.Or(info.Main.Version, develVersion)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// print writes v in lines for a person.
func (v version) print(w io.Writer) error {
	text := "vde " + v.Version + "\n"
	if v.Module != "" {
		text += "module " + v.Module + "\n"
	}
	if v.Commit != "" {
		text += "commit " + v.Commit
		if v.Time != "" {
			text += " of " + v.Time
		}
		if v.Modified {
			text += ", modified"
		}
		text += "\n"
	}
	text += v.Go + " " + v.OS + "/" + v.Arch + "\n"
	_, err := fmt.Fprint(w, text)
	return err
}
