#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Looks for known vulnerabilities that the code of each module can reach. Asks
# the Go vulnerability database over the network.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

govulncheck=$(tool govulncheck)
failed=0
for dir in "${modules[@]}"; do
	say "$(name "$dir")\$ govulncheck ./..."
	(cd "$dir" && "$govulncheck" ./...) || failed=1
done
exit $failed
