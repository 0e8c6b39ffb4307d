#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs every fuzz target of every module for FUZZTIME each. Each package is
# built once; as many targets run side by side as there are processors, each
# with one worker.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

fuzztime=${FUZZTIME:-10s}
jobs=${FUZZJOBS:-$(nproc 2>/dev/null || echo 2)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(go env GOCACHE)/fuzz

# Lines of "directory program import-path target" go to $work/list.
found=0
: >"$work/list"
for dir in "${modules[@]}"; do
	cd "$dir"
	# Lines of "import-path directory file", one for each file of tests that this
	# system compiles.
	# shellcheck disable=SC2016
	files=$(go list -f '{{$d := .Dir}}{{$p := .ImportPath}}{{range .TestGoFiles}}{{$p}} {{$d}} {{.}}
{{end}}{{range .XTestGoFiles}}{{$p}} {{$d}} {{.}}
{{end}}' ./...)
	last=
	while read -r path package file; do
		[ -n "$file" ] || continue
		targets=$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$package/$file")
		for target in $targets; do
			if [ "$path" != "$last" ]; then
				program=$work/$found.test
				say "$(name "$package")\$ go test -c -fuzz ."
				(cd "$package" && go test -c -fuzz . -o "$program" .)
				last=$path
			fi
			found=$((found + 1))
			echo "$package $program $path $target" >>"$work/list"
		done
	done <<<"$files"
done
[ "$found" -gt 0 ]

# run runs one target and prints what it said when it has ended.
run() {
	local package=$1 program=$2 path=$3 target=$4 out status=0
	out=$(cd "$package" && "$program" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$fuzztime" \
		-test.parallel 1 -test.fuzzcachedir "$cache/$path" 2>&1 </dev/null) || status=$?
	# The fuzzer now and then takes the end of its time for a failure (go.dev/issue/75804).
	if [ "$status" != 0 ] && [[ $out == *'    context deadline exceeded'* && $out != *'Failing input written'* ]]; then
		status=0
	fi
	printf '== %s %s\n%s\n' "${path#github.com/go-vde/sdk/}" "$target" "$out"
	return "$status"
}
export -f run
export fuzztime cache

# A target that fails leaves its input in testdata of its package, as with go test.
# shellcheck disable=SC2016
xargs -P "$jobs" -L 1 bash -c 'run "$@"' fuzz <"$work/list"

echo "$found fuzz targets, $fuzztime each, $jobs at a time"
