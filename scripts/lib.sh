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

# ours prints the modules of this repository that the go.mod here requires.
ours() {
	sed -nE 's#^(require)?[[:space:]]*(github\.com/go-vde/sdk[^[:space:]]*) v.*#\2#p' go.mod
}

# release prints the version that the modules require of each other.
release() {
	sed -nE 's#^[[:space:]]*github\.com/go-vde/sdk (v[^[:space:]]*) => .*#\1#p' "$root/go.work"
}

# published prints the directories, as seen from the root, of the modules that
# are published, each after those that it requires: those outside internal.
published() {
	local dir path required ready done=' ' left=("${modules[@]}") next
	while [ ${#left[@]} != 0 ]; do
		next=()
		for dir in "${left[@]}"; do
			path=$(sed -n 's/^module //p' "$dir/go.mod") ready=true
			for required in $(cd "$dir" && ours); do
				[[ $done == *" $required "* ]] || ready=false
			done
			if [ "$ready" = false ]; then
				next+=("$dir")
				continue
			fi
			done+="$path "
			[[ $(name "$dir") == internal/* ]] || name "$dir"
		done
		if [ ${#next[@]} = ${#left[@]} ]; then
			echo "the modules require each other in a circle, or one that is not in go.work" >&2
			return 1
		fi
		left=(${next[@]+"${next[@]}"})
	done
}
