#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Record a real program, show what it did, prove the recording with two verifiers that share no code, then change one
# byte in a copy and see both find it. Needs no root. Fails when anything is not as it says.
#
# usage: examples/demo/demo.sh [DIRECTORY]   (after `make setup`; `make demo` does both; DIRECTORY is build/demo)
set -euo pipefail
cd "$(dirname "$0")/../.."

here=${1:-build/demo}
rm -rf "$here"
mkdir -p "$here"
export PATH="$PWD/.venv/bin:$PATH"
reference=docs/spec/reference/verify_log.py

title() { printf '\n# %s\n' "$*"; }

# Shows a command as a person would type it, then runs it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

# Runs a command that must end with the given status, and says so.
must_end_with() {
    local wanted=$1 status=0
    shift
    run "$@" 2>&1 || status=$?
    printf '(exit status %s)\n' "$status"
    if [ "$status" -ne "$wanted" ]; then
        printf 'demo: expected exit status %s\n' "$wanted" >&2
        exit 1
    fi
}

${CC:-cc} -O2 -Wall -o "$here/courier" examples/demo/courier.c

title "Record a program that forks, reads and writes files, talks over loopback, and is denied something"
run observer record -o "$here/recording" -- "$here/courier" examples/demo/letter.txt "$here/copy.txt"

title "What ran"
run observer show --tree "$here/recording"

title "Whom it talked to, and what it was denied"
run observer show --class network "$here/recording"
run observer show --denied "$here/recording"

title "What it came to"
run observer summary "$here/recording"

title "Is the recording whole? Ask two verifiers that share no code"
must_end_with 0 observer verify "$here/recording"
must_end_with 0 python3 "$reference" "$here/recording/sealed.log"

title "Now somebody changes one bit in a copy: which letter was it?"
cp -r "$here/recording" "$here/forged"
run python3 examples/demo/flip.py "$here/forged/sealed.log" letter.txt
must_end_with 14 observer verify "$here/forged"
must_end_with 14 python3 "$reference" "$here/forged/sealed.log"

printf '\nBoth verifiers found it. The recording is in %s; look further with: observer show %s\n' "$here/recording" "$here/recording"
