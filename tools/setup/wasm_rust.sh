#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Put Debian's Rust compiler with its WASI target under build/wasm-rust, for the test of a plugin in Rust. Nothing is installed.
#
# usage: tools/setup/wasm_rust.sh STAMP
#
# Debian's compiler and the one that builds the core cannot be installed side by side, so its packages are only unpacked. Where they
# cannot be had, or rustc has a WASI target anyway, nothing is done; the test then uses that target or says why it skips.
set -uo pipefail
cd "$(dirname "$0")/../.."
stamp=${1:?usage: wasm_rust.sh STAMP}
place=build/wasm-rust

say() { printf 'setup: %s\n' "$*" >&2; }

has_target() { [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/wasm32-wasip1" ]; }

unpack() {
    local work library status=0
    work=$(mktemp -d)
    library=$(apt-cache depends libstd-rust-dev | grep -o 'libstd-rust-[0-9.]*$' | head -n 1)
    (cd "$work" && apt-get -qq download rustc libstd-rust-dev-wasm32 "${library:-libstd-rust}") >"$work/log" 2>&1 || status=1
    rm -rf "$place"
    for package in "$work"/*.deb; do dpkg -x "$package" "$place" 2>>"$work/log" || status=1; done
    if [ "$status" -ne 0 ]; then say "no Rust compiler with a WASI target: $(grep -m1 '^E:' "$work/log")"; rm -rf "$place"; fi
    rm -rf "$work"
}

if ! has_target && [ ! -x $place/usr/bin/rustc ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
    say "unpacking Debian's Rust compiler for WASI"
    unpack
fi
mkdir -p "$(dirname "$stamp")"
touch "$stamp"
