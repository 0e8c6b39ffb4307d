#!/bin/sh
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs the command vde, its manual pages, the completions of three shells and the units
# for systemd below $DESTDIR$PREFIX. PREFIX is /usr/local unless it is given. DESTDIR is for packages.
set -eu
cd "$(dirname "$0")/.."
to=${DESTDIR:-}${PREFIX:-/usr/local}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

go build -o "$tmp/vde" ./cmd/vde
"$tmp/vde" man "$tmp/man1"
for shell in bash zsh fish; do
	"$tmp/vde" completion $shell >"$tmp/$shell"
done

install -d "$to/bin" "$to/share/man/man1" "$to/share/bash-completion/completions" \
	"$to/share/zsh/site-functions" "$to/share/fish/vendor_completions.d" "$to/lib/systemd/system"
install -m 755 "$tmp/vde" "$to/bin/vde"
install -m 644 "$tmp"/man1/*.1 "$to/share/man/man1"
install -m 644 "$tmp/bash" "$to/share/bash-completion/completions/vde"
install -m 644 "$tmp/zsh" "$to/share/zsh/site-functions/_vde"
install -m 644 "$tmp/fish" "$to/share/fish/vendor_completions.d/vde.fish"
for unit in contrib/systemd/*; do
	sed "s|/usr/local/bin/vde|${PREFIX:-/usr/local}/bin/vde|" "$unit" >"$tmp/unit"
	install -m 644 "$tmp/unit" "$to/lib/systemd/system/$(basename "$unit")"
done
