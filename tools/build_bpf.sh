#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compile the probe (bpf/) for each architecture into the crate that embeds it. Only who changes bpf/ needs this:
# the objects are committed, so that users and package builds need no clang.
#
# usage: tools/build_bpf.sh [DIRECTORY]     needs clang, llvm-strip and libbpf's headers (Debian: clang llvm libbpf-dev)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
to=${1:-$root/rust/observer-probe/object}
mkdir -p "$to"
to=$(cd "$to" && pwd)
cd "$root/bpf"
# -mcpu=v3 is what kernel 5.10 takes everywhere; debug paths are made relative so that the object is the same on each machine.
for pair in x86_64:x86 aarch64:arm64; do
    clang -O2 -g -target bpf -mcpu=v3 "-D__TARGET_ARCH_${pair#*:}" -Wall -Wextra -Werror -Wno-unused-function \
        "-fdebug-prefix-map=$PWD=bpf" -c observer.bpf.c -o "$to/${pair%:*}.bpf.o"
    llvm-strip -g "$to/${pair%:*}.bpf.o"
done
ls -l "$to"
