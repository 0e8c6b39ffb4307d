# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Names for commands. Plain go commands work as well: go test ./... needs none
# of this.

FUZZTIME ?= 10s
SOAKTIME ?= 1m

.PHONY: help demo test peers lint cross bench smoke fuzz soak vuln

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the demonstration
	@go run ./cmd/vde demo

test: peers ## install missing peers if possible, test all modules with -race; TESTFLAGS='-run X -v'
	@scripts/test.sh $(TESTFLAGS)

peers: ## install the programs that the tests run against (Debian)
	@scripts/peers.sh

lint: ## vet, staticcheck, format, tidiness, licence headers, import rules
	@scripts/lint.sh

cross: ## build everything, tests included, for all systems; run a part as 32-bit
	@scripts/cross.sh

bench: peers ## measure everything next to its alternatives into docs/performance.md, 15 minutes; BENCHFLAGS=-quick takes 3
	@cd bench && go run ./cmd/report $(BENCHFLAGS)

smoke: ## run the benchmarks beside the code; BENCH=pattern BENCHCOUNT=6 BENCHTIME=1s
	@BENCH='$(BENCH)' BENCHCOUNT='$(BENCHCOUNT)' BENCHTIME='$(BENCHTIME)' scripts/bench.sh

fuzz: ## run each fuzz target; FUZZTIME=10s
	@FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

soak: peers ## load, faults and an account of every frame, on half a processor; SOAKTIME=1h
	@cd internal/soak && go run . -time $(SOAKTIME) $(SOAKFLAGS)

vuln: ## look for known vulnerabilities (asks the Go vulnerability database)
	@scripts/vuln.sh
