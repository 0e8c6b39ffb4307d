#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Checks that need no test to run. All of them are made before it fails.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

failed=0

# check runs a command under a heading.
check() {
	say "$*"
	"$@" || failed=1
}

# empty runs a command that lists what is wrong, and nothing if all is well.
empty() {
	local out
	say "$*"
	out=$("$@") || failed=1
	if [ -n "$out" ]; then
		echo "$out"
		failed=1
	fi
}

# binaries lists tracked files that are no text, except pictures: go build in the
# folder of a command leaves one behind.
binaries() {
	git ls-files --eol | awk -F '\t' '$1 ~ /^i\/-text/ && $2 !~ /[.]png$/ { print $2 }'
}

empty gofmt -l .
empty binaries
for script in scripts/*.sh .ci/run; do
	bash -n "$script" || failed=1
done

staticcheck=$(tool staticcheck)
# Its results name files by their paths, which with -trimpath are not part of what
# it keeps them under: another checkout of the repository has results of its own.
STATICCHECK_CACHE=${STATICCHECK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/staticcheck}/$(cksum <<<"$root" | cut -d' ' -f1)
export STATICCHECK_CACHE

# static runs staticcheck on the code of several builds at once: what is unused
# in one may be used in another. Its arguments are further builds. With -trimpath
# what is compiled for another system serves cross.sh too.
static() {
	say "staticcheck -matrix ./..."
	printf '%s\n' "linux: GOOS=linux" "windows: GOOS=windows -trimpath" "$@" |
		"$staticcheck" -matrix ./... || failed=1
}

check scripts/tidy.sh -diff
check scripts/generate.sh -diff

for dir in "${modules[@]}"; do
	cd "$dir"
	say "module $(name "$dir")"
	check go vet ./...
	builds=()
	# As in cross.sh.
	if [ "$dir" = "$root" ]; then builds+=("freebsd: GOOS=freebsd -trimpath"); fi
	# The tag concerns modules with files that have it.
	if grep -rqs --include='*.go' '^//go:build.*poolleak' .; then
		check go vet -tags=poolleak ./...
		builds+=("poolleak: GOOS=linux -tags=poolleak")
	fi
	static "${builds[@]}"
done

cd "$root/internal/tools"
say "module internal/tools"
export GOWORK=off
check go mod tidy -diff
check go vet ./...
say "staticcheck ./..."
"$staticcheck" ./... || failed=1
unset GOWORK

# Who may import whom, licence headers, and what the documents quote.
cd "$root"
check go test -count=1 -run '^(TestImports|TestHeaders|TestDocs.*)$' .

exit $failed
