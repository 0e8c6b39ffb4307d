#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Tests every module of go.work. Arguments go to go test, for example
#
#	scripts/test.sh -run TestOpen -count 10
#
# It sets -short: tests for which testing.Short says so leave out the long part
# of their matrix; -short=false runs that with the race detector too. With the
# word long as its first argument the script runs what that leaves out, and what
# needs another build:
#
#   - with the tag poolleak, all tests of the packages that use package pool;
#   - with the other of the two newest releases of Go, all tests. OTHERGO=none
#     or OTHERGO=go1.27.1 in the environment chooses another.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

timeout=${TIMEOUT:-90m} # of one package, on a machine that is busy; a test that hangs ends itself before

race=(-race)
if [ "$(go env CGO_ENABLED)" != 1 ] || ! command -v "$(go env CC | cut -d' ' -f1)" >/dev/null || [ ! -e /usr/include/stdlib.h ]; then
	echo "test: no C compiler, or CGO_ENABLED=0: testing without the race detector"
	if [ "${CI:-}" = true ]; then exit 1; fi
	race=()
fi

# Every process with the race detector sleeps for a second at its end, for goroutines
# that still run. The tests check that there are none.
export GORACE="${GORACE:+$GORACE }atexit_sleep_ms=0"

# Packages of all modules are tested in one go. Many tests wait for a clock or for another
# program, so where there are few processors, more packages are tested side by side than
# there are; otherwise as many as go test takes, which knows what a container may use.
# What takes longest begins first, so that a processor is not left alone with it.
side=()
if [ "$(getconf _NPROCESSORS_ONLN)" -le 4 ]; then
	side=(-p=4)
fi
everything=(./vswitch ./netstack ./vde ./cmd/vde)
for dir in "${modules[@]}"; do
	everything+=(".${dir#"$root"}/...")
done

# poolUsers prints the packages that use package pool, tests included.
poolUsers() {
	# shellcheck disable=SC2016
	go list -f '{{$p := .ImportPath}}{{$p}} {{$p}}
{{range .Imports}}{{$p}} {{.}}
{{end}}{{range .TestImports}}{{$p}} {{.}}
{{end}}{{range .XTestImports}}{{$p}} {{.}}
{{end}}' "${everything[@]}" | awk '$2 == "github.com/go-vde/sdk/pool" && !seen[$1]++ { print $1 }'
}

# otherGo prints the newest patch of the other of the two newest releases of Go.
otherGo() {
	local empty versions
	empty=$(mktemp -d)
	versions=$(cd "$empty" && GOWORK=off go list -m -versions go) || versions=
	rmdir "$empty"
	# Lines such as "1.26 1.26.8", a release each, the newest last.
	tr ' ' '\n' <<<"$versions" | sed -nE 's/^(1\.[0-9]+)\.[0-9]+$/\1 &/p' |
		awk '{ newest[$1] = $2; if ($1 != last) { before = last; last = $1 } }
			END { if (last != "") { print last, newest[last]; print before, newest[before] } }' |
		awk -v current="$(go env GOVERSION)" 'index(current ".", "go" $1 ".") != 1 { print "go" $2; exit }'
}

# run prints the events of one go test under a heading with the command itself. What
# go vet reports, make lint reports.
run() {
	say "go test $*"
	go test -json -vet=off -shuffle=on -timeout="$timeout" "${side[@]}" "$@" </dev/null
}

short() {
	local failed=0
	run "${race[@]}" -short "$@" "${everything[@]}" || failed=1
	say "internal/tools\$ go test ./..."
	(cd internal/tools && GOWORK=off go test -json -timeout="$timeout" "$@" ./... </dev/null) || failed=1
	return $failed
}

long() {
	local failed=0 users other
	users=$(poolUsers)
	mapfile -t users <<<"$users"
	run -tags=poolleak "$@" "${users[@]}" || failed=1

	other=${OTHERGO:-$(otherGo)}
	if [ "$other" = none ]; then
		other=$(go env GOVERSION)
	elif [ -z "$other" ] || ! GOTOOLCHAIN=$other go version >/dev/null; then
		echo "test: the other release of Go cannot be had ($other)"
		if [ "${CI:-}" = true ]; then return 1; fi
		other=$(go env GOVERSION)
	fi
	say "GOTOOLCHAIN=$other"
	GOTOOLCHAIN=$other run "$@" "${everything[@]}" || failed=1
	return $failed
}

part=short
if [ "${1:-}" = long ]; then
	part=long
	shift
fi
summary=$(tool testsum)
"$part" "$@" | "$summary"
