#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv/ and install Observer into it, in development mode with a release build of the native core.
#
# usage: tools/setup/python.sh create|install|native
#   create   the environment alone       install  it, with Observer and its dependencies       native  the core again
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'setup: %s\n' "$*" >&2; }

if [ -d "$HOME/.cargo/bin" ]; then export PATH="$PATH:$HOME/.cargo/bin"; fi
export PIP_DISABLE_PIP_VERSION_CHECK=1

usable() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

create() {
    if [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null; then return; fi
    local python
    for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if usable "$python"; then
            rm -rf .venv
            "$python" -m venv .venv
            return
        fi
    done
    say "Python 3.11 or newer with its venv module is needed; found: $(python3 --version 2>&1 || echo none)"
    say "name one with 'make PYTHON=/path/to/python3'"
    exit 1
}

case ${1:-install} in
    create) create ;;
    install)
        create
        say "building the native core and the Python environment in .venv (a few minutes the first time)"
        tools/setup/quiet.sh .venv/bin/pip install -e '.[dev]'
        ;;
    native)
        say "building the native core"
        tools/setup/quiet.sh .venv/bin/maturin develop --release --quiet
        ;;
    *) say "usage: python.sh create|install|native"; exit 2 ;;
esac
