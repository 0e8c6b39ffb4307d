#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Does go mod tidy in every module of go.work, as if the versions that the
# modules require of each other were published: they are taken from here. go mod
# tidy does not read go.work, and no published go.mod has a replace directive,
# so it works on copies. Then go.work.sum gets all that any go command adds.
#
#	scripts/tidy.sh
#	scripts/tidy.sh -diff   # changes nothing, and fails if something should change

set -euo pipefail
. "$(dirname "$0")/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
replacements=() drops=()
for dir in "${modules[@]}"; do
	path=$(sed -n 's/^module //p' "$dir/go.mod")
	replacements+=("-replace=$path=$dir")
	drops+=("-dropreplace=$path")
done

for dir in "${modules[@]}"; do
	cd "$dir"
	say "$(name "$dir")\$ go mod tidy $*"
	if grep -nE '^[[:space:]]*replace\b|=>' go.mod; then
		echo "$(name "$dir")/go.mod has a replace directive; the place for it is go.work"
		failed=1
	fi
	cp go.mod "$work/go.mod"
	grep -v '^github\.com/go-vde/sdk' go.sum >"$work/go.sum"
	go mod edit "${replacements[@]}" "$work/go.mod"
	GOWORK=off go mod tidy "$@" -modfile="$work/go.mod" || failed=1
	if [ $# = 0 ]; then
		go mod edit "${drops[@]}" "$work/go.mod"
		cat "$work/go.mod" >go.mod
		{
			grep '^github\.com/go-vde/sdk' go.sum || true
			cat "$work/go.sum"
		} >"$work/all.sum"
		LC_ALL=C sort -s -k 1,1 "$work/all.sum" >go.sum
	fi
done
if [ $# = 0 ]; then
	cd "$root"
	say 'go.work.sum'
	go list -m all >/dev/null
	go mod download
fi
exit $failed
