# shellcheck shell=bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced by the other scripts. Leaves the caller in the root of the repository.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD

if ! command -v go >/dev/null && [ -x /usr/local/go/bin/go ]; then
	PATH=$PATH:/usr/local/go/bin
fi
if ! command -v go >/dev/null; then
	echo "go is not in PATH: see https://go.dev/doc/install" >&2
	exit 1
fi

# modules holds the directory of each module of go.work. (A command in an
# assignment, unlike one in <(...), ends the script when it fails.)
modules=$(go list -m -f '{{.Dir}}')
mapfile -t modules <<<"$modules"

# name prints a directory as seen from the root.
name() {
	if [ "$1" = "$root" ]; then echo .; else echo "${1#"$root"/}"; fi
}

# tool prints the path of a program pinned in internal/tools/go.mod, built if need be.
tool() {
	GOWORK=off GOOS='' GOARCH='' go -C "$root/internal/tools" tool -n "$1"
}

# say prints a heading.
say() {
	printf '== %s\n' "$*"
}
