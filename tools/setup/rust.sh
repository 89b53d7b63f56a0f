#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Find a Rust compiler that is new enough, or install Debian's.
#
# usage: tools/setup/rust.sh check|install
#
# The order: cargo on PATH or in ~/.cargo/bin when it is at least the workspace's rust-version; else Debian 12's
# security archive, which carries a current compiler as rustc-web and cargo-web; else advice to use rustup.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
need=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml" | head -n 1)

say() { printf 'setup: %s\n' "$*" >&2; }

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

version_of() { "$1" --version 2>/dev/null | sed -n 's/^[a-z]* \([0-9.]*\).*/\1/p'; }

good() {
    local cargo rustc
    cargo=$(version_of cargo) && rustc=$(version_of rustc) && [ -n "$cargo" ] && [ -n "$rustc" ] &&
        at_least "$cargo" "$need" && at_least "$rustc" "$need"
}

if [ -d "$HOME/.cargo/bin" ]; then PATH="$PATH:$HOME/.cargo/bin"; fi
if good; then exit 0; fi

advice() {
    say "Rust $need or newer is needed to build the native core; found: $(cargo --version 2>/dev/null || echo none)"
    say "$1"
    exit 1
}

if [ "${1:-check}" != install ]; then advice "run 'make setup'"; fi

if command -v rustup >/dev/null 2>&1; then advice "run: rustup update stable"; fi
if ! command -v apt-get >/dev/null 2>&1; then advice "install it with rustup (https://rustup.rs), then run make again"; fi

if [ "$(id -u)" -eq 0 ]; then sudo=()
elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then sudo=(sudo)
else advice "as root, run 'apt-get install rustc-web cargo-web', or as yourself install rustup (https://rustup.rs)"
fi

apt() { "$root/tools/setup/quiet.sh" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq "$@"; }

apt update
for pair in "rustc-web cargo-web" "rustc cargo"; do
    read -r rustc_package cargo_package <<<"$pair"
    version=$(apt-cache policy "$rustc_package" | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
    if [ -n "$version" ] && at_least "$version" "$need"; then
        say "installing $rustc_package and $cargo_package $version"
        apt install -y --no-install-recommends "$rustc_package" "$cargo_package"
        good || advice "the packages installed do not suffice; install rustup (https://rustup.rs)"
        exit 0
    fi
done
advice "apt has none that new (on Debian 12 it is in bookworm-security); add that archive, or install rustup (https://rustup.rs)"
