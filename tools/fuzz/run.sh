#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzz the parsers of hostile bytes with LLVM's libFuzzer on a stable compiler: the sealed log's, and those of snapshot files.
#
#   run.sh [EXECUTIONS] [CRATE/TARGET...]     default: 1,000,000 of each target; a crate is evidence or snapshot
#
# The corpus starts from the vectors in tests/vectors/CRATE-fuzz and, minimised and thinned, goes back there. What breaks a parser lies in
# build/fuzz/CRATE/<target>-crash-*. Builds need a C++ compiler, which libfuzzer-sys uses for its runtime.
set -euo pipefail
cd "$(dirname "$0")/../.."

executions=${1:-1000000}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(evidence/{line,manifest,chainstate,checkpoint,proof} snapshot/{ends,frame,node,whole})
host=$(rustc -vV | sed -n 's/^host: //p')

# What cargo-fuzz passes, less the address sanitizer: that needs a nightly compiler, and these crates hold no unsafe code.
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
for crate in $(printf '%s\n' "${targets[@]%/*}" | sort -u); do
    mkdir -p "build/fuzz/$crate"
    RUSTFLAGS="$flags" cargo build --quiet --locked --release --target "$host" --target-dir build/fuzz/target \
        --manifest-path "rust/observer-$crate/fuzz/Cargo.toml"
done

for each in "${targets[@]}"; do
    crate=${each%/*} target=${each#*/} here=build/fuzz/${each%/*}
    program=build/fuzz/target/$host/release/$target
    corpus=$here/$target kept=tests/vectors/$crate-fuzz/$target.base64
    rm -rf "$corpus" "$corpus.min" && mkdir -p "$corpus" "$corpus.min"
    python3 tools/fuzz/corpus.py unpack "$kept" "$corpus"
    # Ten seconds (of the wall clock: a busy machine must not look like a hang) and 512 MB for one input of at most 8 KiB.
    "$program" "$corpus" -runs="$executions" -max_len=8192 -timeout=10 -rss_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="$here/$target-" -verbosity=0 2>&1 | grep -E 'stat::|ERROR|panicked|Test unit' | sed "s/^/$target: /" || true
    if compgen -G "$here/$target-*" >/dev/null; then
        echo "$target: an input broke the parser: $(ls "$here/$target"-*)" >&2
        exit 1
    fi
    "$program" -set_cover_merge=1 -use_counters=0 -max_len=8192 "$corpus.min" "$corpus" 2>/dev/null
    python3 tools/fuzz/corpus.py pack "$corpus.min" "$kept"
done
