#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds everything, tests included, for every system and architecture that is
# promised to compile, and runs the tests of the ground floor as a 32-bit
# program where this machine can.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The nested modules stand on big ones of others, each of whose builds takes a
# minute; what is particular to a system is in the root module.
all=${TARGETS:-linux/amd64 linux/arm64 linux/386 linux/riscv64 darwin/arm64 freebsd/amd64 windows/amd64}
nested=${TARGETS:-darwin/arm64 windows/amd64}

# With -trimpath what is compiled for a module of others serves consumer.sh too.
CGO_ENABLED=0
GOFLAGS="$(go env GOFLAGS) -trimpath"
export CGO_ENABLED GOFLAGS
for dir in "${modules[@]}"; do
	targets=$nested
	if [ "$dir" = "$root" ]; then targets=$all; fi
	for target in $targets; do
		say "$(name "$dir")\$ GOOS=${target%/*} GOARCH=${target#*/} go build ./... && go vet ./..."
		(
			cd "$dir"
			export GOOS=${target%/*} GOARCH=${target#*/}
			go build -o /dev/null ./... # a command would be left behind else
			go vet ./... # compiles the tests
		)
	done
done

if [ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" = linux/amd64 ]; then
	# A kernel without IA-32 emulation does not run them.
	probe=$(mktemp)
	trap 'rm -f "$probe"' EXIT
	GOARCH=386 go test -c -o "$probe" ./internal/wire
	if "$probe" -test.run '^$' >/dev/null 2>&1; then
		say '.$ GOARCH=386 go test ./frame ./pool ./ringbuf ./internal/wire'
		GOARCH=386 go test -shuffle=on -timeout=5m ./frame ./pool ./ringbuf ./internal/wire
	else
		echo "cross: this kernel runs no 32-bit programs; the tests for 386 were compiled only"
	fi
fi
