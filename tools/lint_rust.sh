#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Check the Rust sources: format and clippy. A part whose tool is not installed says so and is left out
# (Debian's compiler packages come without clippy).
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo fmt --version >/dev/null 2>&1; then
    cargo fmt --check
else
    echo "lint: cargo fmt is not installed: Rust format NOT checked" >&2
fi
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
else
    echo "lint: clippy is not installed: Rust lints NOT checked" >&2
fi
