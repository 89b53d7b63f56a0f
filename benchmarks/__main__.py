# SPDX-License-Identifier: Apache-2.0
"""Run the benchmarks, each in its own process: `python -m benchmarks [NAME…] [-- OPTIONS…]`, all when none is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the names of all benchmarks, sorted."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main(arguments: list[str]) -> int:
    """Run what is asked for; return 1 when one failed, 2 when a name is unknown."""
    wanted, options = arguments, []
    if "--" in arguments:
        wanted, options = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    unknown = set(wanted) - set(names())
    if unknown:
        print(
            f"benchmarks: unknown: {', '.join(sorted(unknown))}; there are: {', '.join(names())}",
            file=sys.stderr,
        )
        return 2
    failed = [
        name
        for name in wanted or names()
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.bench_{name}", *options], cwd=HERE.parent, check=False
        ).returncode
    ]
    if failed:
        print(f"benchmarks: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
