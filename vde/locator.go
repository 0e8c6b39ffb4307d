// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-vde/sdk/vnl"
)

// places are the parts of the system that decide what a locator without a path
// means.
type places struct {
	home string // $HOME; empty if there is none
}

func systemPlaces() places { return places{home: os.Getenv("HOME")} }

// FindLocator returns the locator that [Open] opens for text: text itself, or what the first
// line of the file says that text names, or, for the empty text, the user's default network.
// The error matches syscall.EINVAL if there is none.
func FindLocator(text string) (vnl.Locator, error) {
	l, _, err := systemPlaces().find(text)
	return l, err
}

// find follows text through the home directory and locator files to a locator.
// The empty string stands for the user's default network, and the path of a
// regular file for the locator in its first line. from says where the locator was
// found, if that is not text itself. The error matches syscall.EINVAL for a file
// that holds no locator.
func (p places) find(text string) (l vnl.Locator, from string, err error) {
	if strings.Contains(text, "://") {
		return vnl.Parse(text), "", nil
	}
	path := text
	if path == "" {
		path = p.homeDefault()
	}
	line, ok, err := locatorFile(path)
	switch {
	case err != nil:
		return vnl.Locator{}, "", err
	case ok:
		// A path in the line is not looked up as a file again, so files
		// cannot refer to each other in circles.
		return vnl.Parse(line), fmt.Sprintf("first line of %s, %q: ", path, line), nil
	case text == "" && path != "":
		// Nobody wrote this path as a locator: a quote or a bracket in the
		// name of a home directory is just that.
		return vnl.Locator{Scheme: vnl.DefaultScheme, Arg: vnl.Quote(path)}, "", nil
	}
	return vnl.Parse(text), "", nil
}

// homeDefault returns the path of the user's default network, or the empty
// string. It does not follow symbolic links: if the default is a broken link, Open
// fails and does not join another network.
func (p places) homeDefault() string {
	if p.home == "" {
		return ""
	}
	for _, name := range []string{".vdeplug/default", ".vde2/default.switch"} {
		path := p.home + "/" + name
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

// maxLocatorLine limits how much of a file is read in search of a locator.
const maxLocatorLine = 4096

// locatorFile returns the first line of the regular file at path. It is not ok
// if there is no such file or the file is empty; path then means itself. Other
// kinds of file are never opened, because opening a FIFO blocks and opening a
// device may do anything.
func locatorFile(path string) (line string, ok bool, err error) {
	fi, err := os.Stat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return "", false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false, fmt.Errorf("reading locator file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLocatorLine+1))
	if err != nil {
		return "", false, fmt.Errorf("reading locator file: %w", err)
	}
	if len(b) == 0 {
		return "", false, nil
	}
	first, _, found := bytes.Cut(b, []byte("\n"))
	if found {
		first = bytes.TrimSuffix(first, []byte("\r"))
	}
	if len(first) > maxLocatorLine {
		return "", false, vnl.Errorf("first line of %s is longer than %d bytes: is it a locator file?", path, maxLocatorLine)
	}
	return string(first), true, nil
}
