#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs the benchmarks that stand beside the code, BENCHCOUNT times each, and
# sums them up with their variation. The raw results stay in bench.txt. With
# BENCHTIME=1x, which measures nothing, some sizes are left out.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

pattern=${BENCH:-.}
count=${BENCHCOUNT:-6}
benchtime=${BENCHTIME:-1s}
out=$root/bench.txt
short=
if [ "$benchtime" = 1x ]; then short=-short; fi

: >"$out"
for dir in "${modules[@]}"; do
	say "$(name "$dir")\$ go test -run '^$' -bench '$pattern' -benchmem -count $count -benchtime $benchtime ./..."
	(cd "$dir" && go test -run '^$' -bench "$pattern" -benchmem -count "$count" \
		-benchtime "$benchtime" $short -timeout "${TIMEOUT:-60m}" ./... </dev/null) | tee -a "$out"
done
if [ "$count" -gt 1 ]; then
	say "benchstat bench.txt"
	"$(tool benchstat)" bench.txt
fi
