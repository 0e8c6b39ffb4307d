#!/usr/bin/env bash
# Copyright 2026 The go-vde Authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs what the tests run against: the VDE programs and library of Debian
# and a few tools. Nothing is fetched if nothing is missing. Where it may not
# install, it says what is missing and what that costs, and ends well all the
# same: the tests decide what they can do without.

set -euo pipefail

# Debian package | a program, or a file where it begins with / | what needs it
peers='
vde-switch      | vde_switch              | all tests against the stock switch
vdeplug         | vde_plug                | all tests against vdeplug4 nodes and vde_plug
vde2            | vde_plug2tap            | tests against further programs of the vde2 suite
vde-wirefilter  | wirefilter              | tests over lossy and slow wires
libvdeplug-dev  | /usr/include/libvdeplug.h | all tests against C peers
gcc             | gcc                     | all tests against C peers, and the race detector
libc6-dev       | /usr/include/stdlib.h   | all tests against C peers, and the race detector
iproute2        | ip                      | tests against the stack of the kernel
tcpdump         | tcpdump                 | tests that look at the traffic of the kernel
iperf3          | iperf3                  | throughput through the stack of the kernel
qemu-system-x86 | qemu-system-x86_64      | the recipe for a virtual machine, and tests against the network sockets of QEMU
busybox-static  | busybox                 | tests with a guest of QEMU
tshark          | tshark                  | the recipe for captures
chromium        | chromium                | the page of a switch in a browser
dnsmasq-base    | dnsmasq                 | tests against a DHCP server
radvd           | radvd                   | tests against a router of IPv6
passt           | passt                   | tests against the socket of passt
socat           | socat                   | tests against sockets of other kinds
'

PATH=$PATH:/usr/sbin:/sbin

# missing prints the lines of peers whose program or file is not there.
missing() {
	while IFS='|' read -r package sign reason; do
		package=${package// /} sign=${sign// /}
		case $sign in
		'') continue ;;
		/*) [ -e "$sign" ] && continue ;;
		*) command -v "$sign" >/dev/null && continue ;;
		esac
		printf '%s|%s|%s\n' "$package" "$sign" "${reason# }"
	done <<<"$peers"
}

lacking=$(missing)
if [ -n "$lacking" ]; then
	mapfile -t packages < <(cut -d'|' -f1 <<<"$lacking")
	sudo=()
	if [ "$(id -u)" != 0 ]; then
		sudo=(sudo -n)
	fi
	apt() {
		"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
			apt-get -o DPkg::Lock::Timeout=300 -qq "$@" </dev/null
	}
	if ! command -v apt-get >/dev/null; then
		echo "peers: there is no apt-get here, so nothing can be installed"
	elif [ ${#sudo[@]} != 0 ] && ! "${sudo[@]}" true 2>/dev/null; then
		echo "peers: neither root nor sudo without a password, so nothing can be installed"
		echo "peers: to have it all: apt-get install ${packages[*]}"
	else
		echo "peers: installing ${packages[*]}"
		apt update || echo "peers: apt-get update failed, trying with the package lists that are there"
		apt install -y --no-install-recommends "${packages[@]}" >/dev/null ||
			for p in "${packages[@]}"; do
				apt install -y --no-install-recommends "$p" >/dev/null || echo "peers: cannot install $p"
			done
	fi
	while IFS='|' read -r package sign reason; do
		[ -n "$package" ] || continue
		echo "peers: MISSING $sign (Debian package $package); skipped without it: $reason"
	done < <(missing)
fi

# A guest of QEMU needs a kernel. It is not installed, which would have the machine
# boot it, but taken out of its package.
guest=${XDG_CACHE_HOME:-$HOME/.cache}/go-vde/guest
modules=$(cat "$(dirname "$0")/../internal/testpeers/guest_modules.txt")

# guest_kernel puts the kernel and its modules into $guest.
guest_kernel() (
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
	cd "$dir" && mkdir -p "$guest" &&
		apt-get -qq -o APT::Sandbox::User=root download "$package" &&
		dpkg-deb -x ./*.deb . || return
	for m in $modules; do
		cp "$(find lib -name "$m.ko")" "$guest/" || return
	done
	# Last, and at once: it is what the tests look for.
	cp boot/vmlinuz-* "$guest/vmlinuz.new" && mv "$guest/vmlinuz.new" "$guest/vmlinuz"
)

if [ ! -e "$guest/vmlinuz" ] && command -v apt-get >/dev/null; then
	echo "peers: taking the kernel for a guest out of its package"
	guest_kernel || echo "peers: MISSING $guest/vmlinuz (Debian package linux-image-cloud-amd64); skipped without it: tests with a guest of QEMU"
fi

if [ "$(id -u)" != 0 ]; then
	echo "peers: not root; skipped: tests with network namespaces, tap devices and processes of other users"
elif [ ! -c /dev/net/tun ]; then
	echo "peers: MISSING /dev/net/tun; skipped without it: tests with tap devices"
fi
