#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Uses the published modules as somebody outside does, in empty directories
# outside the repository: gets each of them, imports its packages, installs the
# command, and builds the program of the README, without cgo and for other
# systems. The modules come from a proxy on the local disk, made of the tree as
# it is (what git does not track is left out), everything else comes from the
# module cache of this machine or from the usual proxy.

set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/proxy.sh"

version=${VERSION:-$(release)}
targets='linux/arm64 darwin/arm64 windows/amd64'
sdk=github.com/go-vde/sdk

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

commit=$(git stash create) # empty if nothing is changed
say "modules of ${commit:-HEAD} at $version"
proxy "${commit:-HEAD}" "$version" "$work/proxy" >"$work/downloads" || {
	cat "$work/downloads"
	exit 1
}
paths=()
for dir in $(published); do
	path=$sdk/$dir
	paths+=("${path%/.}")
done

# A module cache of its own, because a developer's may hold a published version
# of the modules. What is in the cache has been compared with go.sum; the
# checksum database knows nothing of a version to come. Compiled packages are
# shared with make cross by -trimpath.
usual=$(go env GOPROXY)
GOPROXY="file://$work/proxy/cache/download,file://$(go env GOMODCACHE)/cache/download,$usual"
export GOPROXY GOMODCACHE=$work/cache GOBIN=$work/bin GOWORK=off GOSUMDB=off CGO_ENABLED=0
export GOFLAGS='-modcacherw -trimpath -mod=mod'

# try runs a command under a heading, and shows what it prints if it fails.
try() {
	say "$*"
	"$@" >"$work/output" 2>&1 || {
		cat "$work/output"
		exit 1
	}
}

# consumer enters a new module in an empty directory.
consumer() {
	mkdir "$work/$1"
	cd "$work/$1"
	try go mod init "example.com/$1"
}

# packages prints the packages of a module of the given kind: library or main.
packages() {
	go list -f '{{if and .GoFiles (eq .Module.Path "'"$1"'")}}{{.Name}} {{.ImportPath}}{{end}}' "$1/..." |
		awk -v kind="$2" '$2 !~ /(^|\/)internal(\/|$)/ && ($1 == "main") == (kind == "main") { print $2 }'
}

# program writes a program that imports the packages named on its input.
program() {
	printf 'package main\n\nimport (\n'
	sed 's/.*/\t_ "&"/'
	printf ')\n\nfunc main() {}\n'
}

for path in "${paths[@]}"; do
	consumer "get-$(basename "$path")"
	try go get "$path@$version"
	packages "$path" library >libraries
	packages "$path" main >commands
	[ -s libraries ] || [ -s commands ]
	program <libraries >main.go
	try go build -o "$work/out" .
	if [ -s commands ]; then
		mapfile -t commands <commands
		try go build -o /dev/null "${commands[@]}"
	fi
done

mkdir "$work/install"
cd "$work/install"
try go install "$sdk/cmd/vde@$version"
say 'vde version'
"$GOBIN/vde" version | tee "$work/output"
grep -q "^vde $version\$" "$work/output"
"$GOBIN/vde" version --json | grep -q "\"version\": *\"$version\""

consumer readme
awk '/^```go$/ { inside = 1; next } /^```$/ && inside { exit } inside' "$root/README.md" >main.go
try go get . # finds the modules by itself
try go vet .
try go build -o "$work/out" .
for target in $targets; do
	try env GOOS="${target%/*}" GOARCH="${target#*/}" go build -o "$work/out" .
done

consumer cross
try go get "${paths[@]/%/@$version}"
cat "$work"/get-*/libraries | program >main.go
for target in $targets; do
	try env GOOS="${target%/*}" GOARCH="${target#*/}" go build -o /dev/null . "$sdk/cmd/vde"
done

echo "the modules can be used from outside"
