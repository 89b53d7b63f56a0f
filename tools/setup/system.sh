#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Install the system packages that are missing, and only those.
#
# usage: tools/setup/system.sh build|test|vm STAMP
#   build  what `make demo` needs; ends with an error when something cannot be had
#   test   the same and the programs that tests compare against; what cannot be had of these makes tests skip
#   vm     what `make test` needs and an emulator, for `make test-vm`; ends with an error when it cannot be had
# STAMP is touched when nothing is missing any more.
#
# What is looked for is in packages.txt. A thing that is present, from wherever it came, is left alone.
set -euo pipefail
want=${1:?usage: system.sh build|test|vm STAMP}
stamp=$(realpath -m "${2:?usage: system.sh build|test|vm STAMP}")

cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*" >&2; }

present() {
    case $1 in
        cmd:*) command -v "${1#cmd:}" >/dev/null 2>&1 ;;
        file:*) [ -e "${1#file:}" ] ;;
        py:*) python3 -c "import ${1#py:}" >/dev/null 2>&1 ;;
        *) say "packages.txt: cannot read '$1'"; exit 70 ;;
    esac
}

# Prints the apt packages of one group whose proof is absent.
missing_of() {
    local group proof package
    while read -r group proof package; do
        if [ "$group" = "$1" ] && ! present "$proof"; then echo "$package"; fi
    done < <(grep -v '^#' packages.txt)
}

# Prints the words in front of apt-get, or fails when this user cannot install.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then echo env; return; fi
    command -v sudo >/dev/null 2>&1 || return 1
    if [ -t 0 ]; then echo sudo; else sudo -n true 2>/dev/null && echo "sudo -n"; fi
}

# Installs the given packages, or says what to type and returns 1.
install() {
    local root
    if ! command -v apt-get >/dev/null 2>&1; then
        say "missing: $*"
        say "this is no Debian: install what gives these with your own package manager, then run make again"
        return 1
    fi
    if ! root=$(as_root); then
        say "missing: $*"
        say "you are not root and sudo is not at hand (or asks for a password without a terminal); as root, run:"
        say "    apt-get update && apt-get install -y --no-install-recommends $*"
        return 1
    fi
    say "installing $*"
    hold_services "$root"
    # shellcheck disable=SC2086  # $root is a list of words
    ./quiet.sh $root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq update
    # shellcheck disable=SC2086
    ./quiet.sh $root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq install -y --no-install-recommends "$@"
    local status=$?
    release_services "$root" "$@"
    return $status
}

POLICY=/usr/sbin/policy-rc.d

# Programs that come with a service are wanted without it: tests start their own. Source: invoke-rc.d(8).
hold_services() {
    if [ -e "$POLICY" ]; then return; fi
    # shellcheck disable=SC2086
    printf '#!/bin/sh\n# observer-setup\nexit 101\n' | $1 install -m 755 /dev/stdin "$POLICY"
}

release_services() {
    local root=$1 package
    shift
    # shellcheck disable=SC2086
    if grep -q observer-setup "$POLICY" 2>/dev/null; then $root rm -f "$POLICY"; fi
    if [ ! -d /run/systemd/system ]; then return; fi
    for package in "$@"; do
        # shellcheck disable=SC2086
        if [ "$package" = nginx-light ]; then $root systemctl --quiet disable nginx.service || true; fi
    done
}

mapfile -t build < <(missing_of build)
if [ "${#build[@]}" -gt 0 ]; then install "${build[@]}"; fi
./rust.sh install

if [ "$want" = vm ]; then
    mapfile -t emulator < <(missing_of vm)
    if [ "${#emulator[@]}" -gt 0 ]; then install "${emulator[@]}"; fi
fi
if [ "$want" = test ] || [ "$want" = vm ]; then
    mapfile -t extra < <(missing_of test)
    if [ "${#extra[@]}" -gt 0 ] && ! install "${extra[@]}"; then
        say "going on without them: the tests that need them will say so and skip"
        exit 0
    fi
fi
mkdir -p "$(dirname "$stamp")"
touch "$stamp"
