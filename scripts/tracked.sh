#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Checks, in a clone, that no ordinary go command changes a file that git tracks.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
commit=$(git stash create) # of the tree as it is; empty if nothing is changed
git init -q "$work/clone"
git -C "$work/clone" config receive.shallowUpdate true
git push -q --no-verify "$work/clone" "${commit:-HEAD}:refs/heads/tree"
git -C "$work/clone" checkout -q tree

# With -n a command does to go.mod, go.sum and go.work.sum what it does without;
# other steps run it in earnest.
failed=0

# run runs a go command in a module of the clone and looks at what it changed.
run() {
	local dir=$1
	shift
	cd "$work/clone/$dir"
	say "$dir\$ go $*"
	go "$@" >"$work/output" 2>&1 || {
		cat "$work/output"
		exit 1
	}
	if ! git diff --exit-code || [ -n "$(git status --porcelain)" ]; then
		git status --short
		failed=1
		git checkout -q .
		git clean -fdq
	fi
}

for dir in "${modules[@]}"; do
	dir=$(name "$dir")
	run "$dir" list ./...
	run "$dir" list -deps -test ./...
	run "$dir" build -n ./...
	run "$dir" vet -n ./...
	run "$dir" test -n ./...
done
# These are about all modules, wherever they run.
run . list -m all
run . mod graph
run . mod download
run . mod verify
exit $failed
