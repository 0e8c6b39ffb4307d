#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Prepares a release of all modules: checks the tree, makes a commit in which
# the changelog has a section for the version and the modules require it of each
# other, and tags it for each module. It pushes nothing and prints the commands
# that do. If it fails, the branch is as it was.
#
#	scripts/release.sh v0.1.0
#	scripts/release.sh -n   # only tries it, on a copy of the last commit

set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/proxy.sh"

fail() {
	echo "release: $*" >&2
	exit 1
}

dry=false
if [ "${1:-}" = -n ]; then
	dry=true
	shift
fi
version=${1:-}
if [ "$dry" = true ]; then version=${1:-$(release)}; fi
[[ $version =~ ^v[01]\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
	fail "give a version such as v0.1.0 (make release VERSION=v0.1.0), not '$version'"

work=$(mktemp -d)
if [ "$dry" = true ]; then
	trap 'rm -rf "$work"' EXIT
	git clone -q --no-hardlinks "$root" "$work/clone"
	cd "$work/clone"
	git checkout -q -B main
	git config user.name nobody
	git config user.email nobody@localhost
	git tag -l | xargs -r git tag -d >/dev/null
	. scripts/lib.sh # root and modules are those of the copy
fi
targets=$(published)

# check looks at what has to be right before anything is done.
check() {
	local dir tag
	[ -z "$(git status --porcelain)" ] || fail "the tree has changes that are not committed"
	[ "$(git branch --show-current)" = main ] || fail "the branch is not main"
	[ -s LICENSE ] || fail "there is no file LICENSE"
	for dir in $targets; do
		tag=$(tagged "$dir" "$version")
		! git rev-parse -q --verify "refs/tags/$tag" >/dev/null || fail "the tag $tag exists"
		! grep -qE '^[[:space:]]*replace\b' "$dir/go.mod" || fail "$dir/go.mod has a replace directive"
	done
	grep -qF "## [${version#v}]" CHANGELOG.md || unreleased | grep -q '[^[:space:]]' ||
		fail "CHANGELOG.md has neither a section ${version#v} nor anything under Unreleased"
}

# unreleased prints what the changelog has under Unreleased.
unreleased() {
	awk '/^## \[Unreleased\]/ { inside = 1; next } /^(## )?\[/ || /^## / { inside = 0 } inside' CHANGELOG.md
}

# changelog gives what is under Unreleased the version as its heading.
changelog() {
	local number=${version#v} site=https://github.com/go-vde/sdk
	if grep -qF "## [$number]" CHANGELOG.md; then return; fi
	sed -i -e "s|^## \[Unreleased\].*|&\n\n## [$number] - $(date -u +%F)|" \
		-e "s|^\[Unreleased\]: .*|[Unreleased]: $site/compare/$version...main\n[$number]: $site/releases/tag/$version|" CHANGELOG.md
}

# require makes all modules require the version of each other.
require() {
	local dir
	sed -i -E "s#^([[:space:]]*github\.com/go-vde/sdk[^[:space:]]*) v[^[:space:]]+ =>#\1 $version =>#" go.work
	for dir in "${modules[@]}"; do
		sed -i -E "s#^((require)?[[:space:]]*github\.com/go-vde/sdk[^[:space:]]*) v[^[:space:]]+#\1 $version#" "$dir/go.mod"
	done
}

# sums writes what go mod download -json said of our modules into each go.sum.
sums() {
	local dir path
	awk -F'"' '$2 == "Path" { path = $4 } $2 == "Version" { version = $4 }
		$2 == "Sum" { print path, version, $4 } $2 == "GoModSum" { print path, version "/go.mod", $4 }' "$1" >"$work/sums"
	for dir in "${modules[@]}"; do
		: >"$work/add"
		for path in $(cd "$dir" && ours); do
			grep -F "$path $version" "$work/sums" >>"$work/add"
		done
		LC_ALL=C awk -v add="$work/add" '
			/^github\.com\/go-vde\/sdk/ { next }
			!done && $1 > "github.com/go-vde/sdk" { while ((getline line < add) > 0) print line; done = 1 }
			{ print }' "$dir/go.sum" >"$work/go.sum"
		cat "$work/go.sum" >"$dir/go.sum"
	done
}

# commit commits the version. The sum of a module depends on the go.sum in it,
# so it is done again until nothing changes.
commit() {
	local round
	changelog
	require
	git commit -q --no-verify --allow-empty -a -m "Release $version" -m "The modules require $version of each other."
	for round in 1 2 3 4 5; do
		proxy HEAD "$version" "$work/proxy$round" >"$work/downloads"
		sums "$work/downloads"
		if git diff --quiet; then
			served=$work/proxy$round
			return
		fi
		git commit -q --no-verify --amend -a --no-edit
	done
	fail "the sums of the modules do not settle"
}

# verify looks at the modules as they will be published.
verify() {
	local dir path zip files
	for dir in $targets; do
		path=github.com/go-vde/sdk/$dir
		path=${path%/.}
		zip=$served/cache/download/$path/@v/$version.zip
		files=$(cd "$served/$path@$version" && ls)
		grep -qx LICENSE <<<"$files" || fail "$zip has no LICENSE"
		! grep -E 'github\.com/go-vde/sdk.* v' "$served/$path@$version/go.mod" | grep -vF " $version" ||
			fail "$path requires another version of a module of ours"
	done
	# Each module is complete without go.work, and go.sum agrees with what is served.
	local list
	list="file://$served/cache/download,file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
	for dir in $targets; do
		say "$dir\$ GOWORK=off go list -deps ./..."
		(cd "$dir" && GOWORK=off GOFLAGS='-mod=readonly -modcacherw' GONOSUMDB=github.com/go-vde GOPROXY=$list \
			GOMODCACHE="$work/cache" go list -deps ./... >/dev/null 2>"$work/errors") || {
			cat "$work/errors"
			fail "$dir cannot be loaded without go.work"
		}
	done
	[ -z "$(git status --porcelain)" ] || fail "something changed the tree"
}

# tag tags the commit for each module and says how to publish.
tag() {
	local dir tags=()
	for dir in $targets; do
		tags+=("$(tagged "$dir" "$version")")
		git tag -a -m "Release $version" "${tags[-1]}"
	done
	git log --oneline -1 --stat
	printf '\nTagged: %s\n' "${tags[*]}"
	printf '\nTo publish, the SDK first:\n\n'
	printf '\tgit push origin main\n'
	printf '\tgit push origin %s\n' "${tags[@]}"
	printf '\nTo go back:\n\n\tgit tag -d %s && git reset --hard %s\n' "${tags[*]}" "${before:0:12}"
}

check
before=$(git rev-parse HEAD)
# undo puts the branch back, if not all is well.
undo() {
	local status=$?
	if [ $status != 0 ]; then
		for dir in $targets; do
			git tag -d "$(tagged "$dir" "$version")" >/dev/null 2>&1 || true
		done
		git reset -q --hard "$before"
	fi
	rm -rf "$work"
}
trap undo EXIT

commit
verify
if [ "$dry" = false ]; then
	VERSION=$version scripts/consumer.sh
fi
tag
