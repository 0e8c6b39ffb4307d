#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Generates the Go code of the API's schema.
#
#	scripts/generate.sh
#	scripts/generate.sh -diff   # changes nothing, and fails if the code is stale

set -euo pipefail
. "$(dirname "$0")/lib.sh"

protogen=$(tool protogen)
messages=$(tool protoc-gen-go)
service=$(tool protoc-gen-connect-go)

# Lines of comments in generated code are those of the schema.
"$protogen" "$@" -I api/proto -o api -module github.com/go-vde/sdk/api \
	-plugin "$messages" -plugin "$service package_suffix=" vde/switch/v1/switch.proto
