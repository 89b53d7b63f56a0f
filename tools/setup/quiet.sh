#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run a command; say nothing when it succeeds and everything when it fails.
#
# usage: tools/setup/quiet.sh COMMAND…
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" >"$log" 2>&1
status=$?
if [ "$status" -ne 0 ]; then
    printf 'setup: failed with status %s: %s\n' "$status" "$*" >&2
    cat "$log" >&2
fi
exit "$status"
