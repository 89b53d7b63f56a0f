# SPDX-License-Identifier: Apache-2.0
"""Put what `make demo` and `make test` really print into README.md's first screen, or check that it still looks like that.

usage: python -m tools.readme [--check]

Long parts are cut, and a line with an ellipsis says so. Times, ids, sizes and hashes change with every run, so the check compares
shapes: the words of each line without its numbers.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- printed by make demo -->\n", "<!-- end of what make demo printed -->\n"
KEEP_LINES = 14  # of one part; the whole has to fit a screen or two
WIDTH = 118


def demo_output() -> str:
    """Run the demonstration and return what it printed.

    Raises:
        SystemExit: It did not end with status 0.
    """
    result = subprocess.run(
        [ROOT / "examples/demo/demo.sh"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise SystemExit(f"the demonstration failed with {result.returncode}:\n{result.stdout}")
    return result.stdout


def abridge(output: str) -> str:
    """Return the output with long parts and long lines cut; every cut shows as an ellipsis."""
    kept: list[str] = []
    for part in re.split(r"(?m)^(?=# )", output.strip()):
        lines = [
            line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in part.strip().splitlines()
        ]
        if len(lines) > KEEP_LINES:
            lines = [*lines[:KEEP_LINES], "…"]
        if lines:
            kept.append("\n".join(lines))
    return "\n\n".join(kept)


def shape(text: str) -> list[str]:
    """Return the lines as they are in every run: ids, hashes, numbers and paddings taken out, cut lines left out."""
    lines = []
    for line in text.splitlines():
        if not line.strip() or line.rstrip().endswith("…"):
            continue
        line = re.sub(r"[0-9a-f]{8,}(?:[-…][0-9a-f]*)*", "ID", line)
        line = re.sub(r"\d[\d.,:]*(?:\s?(?:ns|us|µs|ms|s|B|KiB|MiB|bytes))?\b", "N", line)
        lines.append(re.sub(r"[\s─-]+", " ", line).strip())
    return lines


def block(readme: str) -> str:
    """Return what stands between the marks, without its fence."""
    inner = readme.split(BEGIN, 1)[1].split(END, 1)[0]
    return inner.strip().removeprefix("```console").removesuffix("```").strip()


def differences(readme: str, fresh: str) -> list[str]:
    """Return the lines of the README's block that a fresh run no longer prints."""
    now = set(shape("$ make demo\n" + fresh))
    return [line for line in shape(block(readme)) if line not in now]


def main(arguments: list[str]) -> int:
    """Write or check; returns 1 when the README is stale."""
    fresh, text = demo_output(), README.read_text(encoding="utf-8")
    if "--check" in arguments:
        stale = differences(text, fresh)
        for line in stale:
            print(f"README.md shows what is no longer printed: {line}", file=sys.stderr)
        return 1 if stale else 0
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    README.write_text(
        f"{head}{BEGIN}```console\n$ make demo\n\n{abridge(fresh)}\n```\n{END}{tail}", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
