#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs every fuzz target of every module for FUZZTIME each.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

fuzztime=${FUZZTIME:-10s}
found=0

for dir in "${modules[@]}"; do
	cd "$dir"
	# Lines of "directory file", one for each file of tests that this system
	# compiles.
	# shellcheck disable=SC2016
	files=$(go list -f '{{$d := .Dir}}{{range .TestGoFiles}}{{$d}} {{.}}
{{end}}{{range .XTestGoFiles}}{{$d}} {{.}}
{{end}}' ./...)
	while read -r package file; do
		[ -n "$file" ] || continue
		targets=$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$package/$file")
		for target in $targets; do
			found=$((found + 1))
			say "$(name "$package")\$ go test -run '^$' -fuzz '^$target\$' -fuzztime $fuzztime"
			(cd "$package" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" </dev/null)
		done
	done <<<"$files"
done

echo "$found fuzz targets, $fuzztime each"
[ "$found" -gt 0 ]
