#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Tests every module of go.work, and once more with the tag poolleak those
# packages that use package pool. Arguments go to go test, for example
#
#	scripts/test.sh -run TestOpen -count 10

set -euo pipefail
. "$(dirname "$0")/lib.sh"

timeout=${TIMEOUT:-5m} # of one package

race=(-race)
if [ "$(go env CGO_ENABLED)" != 1 ] || ! command -v "$(go env CC | cut -d' ' -f1)" >/dev/null || [ ! -e /usr/include/stdlib.h ]; then
	echo "test: no C compiler, or CGO_ENABLED=0: testing without the race detector"
	if [ "${CI:-}" = true ]; then exit 1; fi
	race=()
fi

# poolUsers prints the packages here that use package pool, tests included.
poolUsers() {
	# shellcheck disable=SC2016
	go list -f '{{$p := .ImportPath}}{{$p}} {{$p}}
{{range .Imports}}{{$p}} {{.}}
{{end}}{{range .TestImports}}{{$p}} {{.}}
{{end}}{{range .XTestImports}}{{$p}} {{.}}
{{end}}' ./... | awk '$2 == "github.com/go-vde/sdk/pool" && !seen[$1]++ { print $1 }'
}

# run prints the events of one go test under a heading with the command itself.
run() {
	local dir=$1
	shift
	say "$(name "$dir")\$ go test $*"
	(cd "$dir" && go test -json "$@" </dev/null)
}

all() {
	local failed=0 dir users args=(-shuffle=on -timeout="$timeout" "$@")
	for dir in "${modules[@]}"; do
		run "$dir" "${race[@]}" "${args[@]}" ./... || failed=1
		users=$(cd "$dir" && poolUsers) || failed=1
		if [ -n "$users" ]; then
			mapfile -t users <<<"$users"
			run "$dir" -tags=poolleak "${race[@]}" "${args[@]}" "${users[@]}" || failed=1
		fi
	done
	GOWORK=off run "$root/internal/tools" -timeout="$timeout" ./... || failed=1
	return $failed
}

summary=$(tool testsum)
all "$@" | "$summary"
