# shellcheck shell=bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced by the scripts that look at the modules as they will be published.

# tagged prints the tag of a published module, given its directory as seen from
# the root, for a version.
tagged() {
	if [ "$1" = . ]; then echo "$2"; else echo "$1/$2"; fi
}

# proxy makes the published modules of a commit at a version into a module
# proxy in the new directory DIR, usable as GOPROXY=file://DIR/cache/download.
# The go command itself makes the files, from a repository in DIR that has the
# tags. It prints what go mod download -json prints.
proxy() {
	local commit=$1 version=$2 dir=$3 target args=()
	mkdir -p "$dir/empty"
	git init -q --bare "$dir/repository"
	git -C "$dir/repository" config receive.shallowUpdate true
	git push -q --no-verify "$dir/repository" "$commit:refs/heads/main"
	for target in $(published); do
		git -C "$dir/repository" tag "$(tagged "$target" "$version")" main
		target=github.com/go-vde/sdk/$target
		args+=("${target%/.}@$version")
	done
	(
		cd "$dir/empty"
		export GIT_CONFIG_COUNT=1 GIT_CONFIG_VALUE_0=https://github.com/go-vde/sdk
		export GIT_CONFIG_KEY_0=url.file://$dir/repository.insteadOf
		GOWORK=off GOFLAGS=-modcacherw GOMODCACHE=$dir GOPROXY=direct GONOSUMDB=github.com/go-vde \
			go mod download -json "${args[@]}"
	)
}
