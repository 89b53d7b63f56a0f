# SPDX-License-Identifier: Apache-2.0
"""Flip one bit of one byte in a file, as an attacker or a bad disk would: `flip.py FILE TEXT`.

The byte is the first of the last occurrence of TEXT, so that the demonstration changes something a reader would care about.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(name: str, text: str) -> int:
    """Flip the lowest bit; say on stdout where."""
    path = Path(name)
    content = bytearray(path.read_bytes())
    offset = content.rfind(text.encode())
    if offset < 0:
        print(f"flip: {name} does not contain {text!r}", file=sys.stderr)
        return 1
    before = content[offset]
    content[offset] ^= 1
    path.write_bytes(content)
    line = content[:offset].count(b"\n") + 1
    print(f"{name}: byte {offset:,} (line {line}): {chr(before)!r} became {chr(content[offset])!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
