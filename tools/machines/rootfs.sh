#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make a small Debian as a tar file, once: for systemd-nspawn (`boot`) or, with a kernel, for QEMU (`vm`).
#
# usage: tools/machines/rootfs.sh boot|vm TARGET.tar
#
# Needs mmdebstrap and root. Packages come from the machine's own apt sources for Debian's main archive.
set -euo pipefail
kind=${1:?usage: rootfs.sh boot|vm TARGET.tar}
target=${2:?usage: rootfs.sh boot|vm TARGET.tar}
suite=${OBSERVER_SUITE:-bookworm}
mirror=${OBSERVER_MIRROR:-http://deb.debian.org/debian}

packages=systemd-sysv,dbus,procps,kmod,iproute2,python3
if [ "$kind" = vm ]; then packages+=,udev,linux-image-cloud-amd64,dmsetup,util-linux,gcc,libc6-dev; fi

work=$(mktemp "$target.XXXXXX")
trap 'rm -f "$work"' EXIT
# Documentation and translations are a third of the files and of no use to a test.
mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*; echo 0123456789abcdef0123456789abcdef > "$1"/etc/machine-id' \
    --customize-hook='echo observer-test > "$1"/etc/hostname' \
    --format=tar "$suite" "$work" "$mirror"
mv "$work" "$target"
trap - EXIT
