#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Compares the benchmarks of two revisions on this machine:
#
#	scripts/compare.sh BASE [HEAD]
#
# Each revision is checked out into a temporary worktree; without HEAD, the
# working tree is compared as it is. The benchmarks of both are built first and
# then run in turn: in each round, each benchmark runs once in BASE and once in
# HEAD, and in every other round in the other order. The table at the end shows
# the medians, and the script fails if HEAD is worse than its spread explains.
#
#	PACKAGES   what to run: entries DIR:PATTERN, or OLD=NEW:PATTERN for a package
#	           that is in directory OLD of BASE and in NEW of HEAD; PATTERN is
#	           that of go test -bench without the leading "Benchmark"
#	ROUNDS     rounds, 10 by default
#	BENCHTIME  duration of each benchmark in each round, 100ms by default
#	RAW        directory for the raw results, base.txt and head.txt

set -euo pipefail
caller=$PWD
. "$(dirname "$0")/lib.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ -z "$1" ]; then
	echo "usage: $0 BASE [HEAD]" >&2
	exit 2
fi
packages=${PACKAGES:-vde:AgainstC vswitch:CPeers vswitch:Beside internal/shm:. netstack:. bench:TCP$/././netstack(-inproc)?$}
rounds=${ROUNDS:-10}
benchtime=${BENCHTIME:-100ms}

work=$(mktemp -d)
trees=()
finish() {
	local tree
	for tree in "${trees[@]}"; do
		git worktree remove --force "$tree"
	done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
raw=$work
if [ -n "${RAW:-}" ]; then
	raw=$(cd "$caller" && mkdir -p "$RAW" && cd "$RAW" && pwd)
fi

# checkout makes a worktree of a revision.
checkout() {
	git worktree add --quiet --detach "$work/$1" "$2"
	trees+=("$work/$1")
}

checkout base "$1"
base=$work/base
head=$root
if [ $# = 2 ]; then
	checkout head "$2"
	head=$work/head
fi

# build makes the test binary of a directory of a tree, once, and prints its path.
# It prints nothing if the tree has no such directory.
build() {
	local side=$1 tree=$2 dir=$3 program
	[ -d "$tree/$dir" ] || return 0
	program=$work/$side-${dir//\//_}.test
	if [ ! -e "$program" ]; then
		(cd "$tree/$dir" && go test -c -o "$program" .) >&2
	fi
	if [ -e "$program" ]; then echo "$program"; fi
}

# benchmarks prints the benchmark functions of a program that match a pattern.
benchmarks() {
	local program=$1 dir=$2 pattern=$3
	[ -n "$program" ] || return 0
	(cd "$dir" && "$program" -test.list '^Benchmark') | sed -n 's/^Benchmark//p' | grep -E -- "$pattern" || true
}

# Lines of "side directory program package function rest" go to $work/list, both
# sides of a function next to each other.
: >"$work/list"
read -r -d '' -a entries <<<"$packages" || true # split, but do not expand patterns
for entry in "${entries[@]}"; do
	dirs=${entry%%:*} pattern=${entry#*:}
	if [ "$dirs" = "$entry" ]; then pattern=.; fi
	old=${dirs%%=*} new=${dirs#*=}
	function=${pattern%%/*} rest=${pattern#"$function"}
	say "build the benchmarks of $dirs"
	a=$(build base "$base" "$old")
	b=$(build head "$head" "$new")
	if [ -z "$a$b" ]; then
		echo "compare: neither tree has tests in $dirs" >&2
		exit 1
	fi
	inBase=$(benchmarks "$a" "$base/$old" "$function")
	inHead=$(benchmarks "$b" "$head/$new" "$function")
	while read -r name; do
		[ -n "$name" ] || continue
		if grep -qx -- "$name" <<<"$inBase"; then echo "base $base/$old $a $new $name $rest" >>"$work/list"; fi
		if grep -qx -- "$name" <<<"$inHead"; then echo "head $head/$new $b $new $name $rest" >>"$work/list"; fi
	done < <(sort -u <<<"$inBase"$'\n'"$inHead")
done
if [ ! -s "$work/list" ]; then
	echo "compare: no benchmark matches" >&2
	exit 1
fi
tac "$work/list" >"$work/reversed"

# run runs a benchmark function once and appends its results to those of its side.
run() {
	local side=$1 dir=$2 program=$3 package=$4 name=$5 rest=${6:-}
	if ! (cd "$dir" && "$program" -test.run '^$' -test.bench "^Benchmark$name\$$rest" \
		-test.benchtime "$benchtime" -test.timeout 10m) >"$work/out" 2>&1 </dev/null; then
		echo "compare: $package Benchmark$name failed in $side:" >&2
		cat "$work/out" >&2
		failed=1
	fi
	echo "pkg: $package" >>"$raw/$side.txt"
	if ! grep '^Benchmark' "$work/out" >>"$raw/$side.txt"; then
		echo "compare: no results of $package Benchmark$name$rest in $side" >&2
	fi
}

failed=0
: >"$raw/base.txt"
: >"$raw/head.txt"
for ((round = 1; round <= rounds; round++)); do
	say "round $round of $rounds"
	list=$work/list
	if [ $((round % 2)) = 0 ]; then list=$work/reversed; fi
	while read -r -u 3 side dir program package name rest; do
		run "$side" "$dir" "$program" "$package" "$name" "$rest"
	done 3<"$list"
done
go -C "$root/bench" run ./cmd/compare "$raw/base.txt" "$raw/head.txt" || failed=1
exit $failed
