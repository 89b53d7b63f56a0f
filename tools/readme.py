# SPDX-License-Identifier: Apache-2.0
"""Put what `make demo` and `make test` really print into README.md's first screen, or check that it still looks like that.

usage: python -m tools.readme [--check] [LOG]

LOG is what `make test` printed. Long parts are cut, and a line with an ellipsis says so. Times, ids, sizes and hashes change with
every run, so the check compares shapes: the words of each line without its numbers.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- printed by make demo and make test -->\n", "<!-- end of what they printed -->\n"
# Lines kept from the head and the tail of what each command printed, for a first screen; the rest is an ellipsis.
KEEP = {
    "observer record": (4, 0),
    "observer show --tree": (8, 0),
    "observer show --class": (0, 2),
    "observer show --denied": (0, 1),
    "observer summary": (5, 4),
    "observer verify": (7, 1),
    "python3": (3, 1),
}
WIDTH = 150
# Lines that depend on who runs it and where: the name, what root does to become nobody, the places of PATH tried.
WHOSE = re.compile(r"^identity |^most |changed its user or group|^integrity ")


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
    # A clone lives anywhere; the page shows one that lives at home.
    return result.stdout.replace(str(ROOT), "~/observer")


def shorten(lines: list[str]) -> list[str]:
    """Return a command's line and what it printed, cut as KEEP says."""
    head, tail = next(
        (keep for start, keep in KEEP.items() if lines[0].startswith(f"$ {start}")), (len(lines), 0)
    )
    if len(lines) <= 1 + head + tail:
        return lines
    return [*lines[: 1 + head], "…", *lines[len(lines) - tail :]]


def abridge(output: str) -> str:
    """Return the output with long parts and long lines cut; every cut shows as an ellipsis."""
    lines = [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in output.strip().splitlines()]
    kept: list[str] = []
    for part in re.split(r"(?m)^(?=# |\$ )", "\n".join(lines)):
        inner = part.strip().splitlines()
        if inner and inner[0].startswith("# "):
            kept += ["", inner[0]]
        elif inner:
            kept += shorten(inner)
    return "\n".join(kept).strip()


def shape(text: str) -> list[str]:
    """Return the lines as they are in every run: ids, hashes, numbers and paddings taken out, cut lines left out."""
    lines = []
    for line in text.splitlines():
        if not line.strip() or line.rstrip().endswith("…") or line.startswith("=") or WHOSE.search(line):
            continue
        line = re.sub(r"\((?:ptrace|eBPF)\)$", "(ENGINE)", line)
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
    now = set(shape(f"$ make demo\n{fresh}\n$ make test"))
    return [line for line in shape(block(readme)) if line not in now]


def closing_line(log: Path) -> str:
    """Return the last line of a test run, pytest's count.

    Raises:
        SystemExit: The log does not end as a run of all tests that passed.
    """
    last = log.read_text(encoding="utf-8").strip().splitlines()[-1]
    if not re.fullmatch(r"=+ \d+ passed.*=+", last) or "failed" in last:
        raise SystemExit(f"{log} does not end with tests that passed: {last}")
    return re.sub(r"=+", "=====", last)


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
    tests = closing_line(Path(arguments[0]))
    shown = f"```console\n$ make demo\n\n{abridge(fresh)}\n\n$ make test\n…\n{tests}\n```\n"
    README.write_text(f"{head}{BEGIN}{shown}{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
