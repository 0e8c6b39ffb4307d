// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of all commands into DIR",
		Long: `Writes a manual page for each command into the directory DIR, which it creates if
there is none: vde.1, vde-switch.1 and so on. They have what --help prints.`,
		Hidden: true, // for packagers
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.InitDefaultHelpFlag()
			return writePages(args[0], root)
		},
	}
}

// writePages writes the pages of c and of the commands below it.
func writePages(dir string, c *cobra.Command) error {
	err := os.WriteFile(filepath.Join(dir, pageName(c)+".1"), []byte(page(c)), 0o644)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			err = errors.Join(err, writePages(dir, sub))
		}
	}
	return err
}

// pageName returns the name of c's page, such as vde-demo-frames.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page returns the manual page of c in the language of man(7).
func page(c *cobra.Command) string {
	info, _ := debug.ReadBuildInfo()
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"vde %s\" \"go-vde\"\n", strings.ToUpper(pageName(c)), roff(versionOf(info).Version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", roff(pageName(c)), roff(c.Short))
	if c.Runnable() {
		fmt.Fprintf(&b, ".B %s\n", roff(c.UseLine()))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, ".PP\n.B %s\n", roff(c.CommandPath()+" [command]"))
	}
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	b.WriteString(".SH DESCRIPTION\n" + strings.ReplaceAll(roff(text), "\n\n", "\n.PP\n") + "\n")
	if c.HasAvailableLocalFlags() {
		b.WriteString(".SH OPTIONS\n")
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { b.WriteString(option(f)) })
	}
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n.nf\n" + roff(c.Example) + "\n.fi\n")
	}
	b.WriteString(".SH EXIT STATUS\n0 on success, 1 on a failure, 2 if the command line is wrong.\n")
	var others []string
	if c.HasParent() {
		others = append(others, fmt.Sprintf(".BR %s (1)", roff(pageName(c.Parent()))))
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			others = append(others, fmt.Sprintf(".BR %s (1)", roff(pageName(sub))))
		}
	}
	b.WriteString(".SH SEE ALSO\n" + strings.Join(others, " ,\n") + "\n")
	return b.String()
}

// option describes a flag.
func option(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	value, usage := pflag.UnquoteUsage(f)
	if value != "" {
		name += " " + value
	}
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	return ".TP\n.B " + roff(name) + "\n" + roff(usage) + "\n"
}

// roff returns text as it is written in a page.
func roff(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
