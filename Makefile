# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Names for commands. Plain go commands work as well: go test ./... needs none
# of this.

FUZZTIME ?= 10s
SOAKTIME ?= 1m

.PHONY: help demo install test test-all test-long peers lint cross tracked consumer release tidy bench compare smoke fuzz soak vuln

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the demonstration
	@go run ./cmd/vde demo

install: ## install vde, its manual pages, completions and systemd units below DESTDIR=, PREFIX=/usr/local
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh

test: peers ## install missing peers if possible, test all modules with -race -short; TESTFLAGS='-run X -v'
	@scripts/test.sh $(TESTFLAGS)

test-long: peers ## what test leaves out: long tests, the tag poolleak, the other of the two newest releases of Go
	@scripts/test.sh long $(TESTFLAGS)

test-all: ## test and test-long
	@$(MAKE) test
	@$(MAKE) test-long

peers: ## install the programs that the tests run against (Debian)
	@scripts/peers.sh

lint: ## vet, staticcheck, format, tidiness, licence headers, import rules
	@scripts/lint.sh

cross: ## build everything, tests included, for all systems; run a part as 32-bit
	@scripts/cross.sh

tracked: ## check that no go command changes a file that git tracks
	@scripts/tracked.sh

consumer: ## use the modules as published, from outside the repository
	@scripts/consumer.sh

release: ## check, commit and tag VERSION=v0.1.0 of all modules, push nothing; DRYRUN=1 only tries it
	@scripts/release.sh $(if $(DRYRUN),-n) $(VERSION)

tidy: ## go mod tidy in each module, and a complete go.work.sum
	@scripts/tidy.sh

bench: peers ## measure everything next to its alternatives into docs/performance.md, 15 minutes; BENCHFLAGS=-quick takes 3
	@cd bench && go run ./cmd/report $(BENCHFLAGS)

compare: peers ## compare the benchmarks of BASE=rev with the working tree, or with HEAD=rev; PACKAGES, ROUNDS, BENCHTIME: see the script
	@scripts/compare.sh '$(BASE)' $(HEAD)

smoke: ## run the benchmarks beside the code; BENCH=pattern BENCHCOUNT=6 BENCHTIME=1s
	@BENCH='$(BENCH)' BENCHCOUNT='$(BENCHCOUNT)' BENCHTIME='$(BENCHTIME)' scripts/bench.sh

fuzz: ## run each fuzz target; FUZZTIME=10s
	@FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

soak: peers ## load, faults and an account of every frame, on half a processor; SOAKTIME=1h
	@cd internal/soak && go run . -time $(SOAKTIME) $(SOAKFLAGS)

vuln: ## look for known vulnerabilities (asks the Go vulnerability database)
	@scripts/vuln.sh
