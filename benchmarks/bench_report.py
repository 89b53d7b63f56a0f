# SPDX-License-Identifier: Apache-2.0
"""The merged report beside `jq -s sort_by` and DuckDB on the same events, in one run: seconds and peak memory.

Run: `python -m benchmarks.bench_report [--events N]`. Half the events lie in each log. The peers only sort and write: they
verify no hash, correct no clock and merge no copies. DuckDB is taken from PyPI (`pip install duckdb`) where it is wanted.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from observer.evidence import SealedLog

BASE_NS = 1_795_776_000_000_000_000
BATCH = 8192
JQ_LIMIT = 1_000_000  # jq holds everything in memory: some 2 KiB an event
SOURCES = ("kernel.kmsg", "systemd.journal", "resource.monitor", "pressure.memory", "net.dev")
OURS = (
    "import sys\nfrom pathlib import Path\nfrom observer.timeline import ReportOptions, make_report\n"
    "make_report(ReportOptions(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), verdict=False))\n"
)
DUCK = (
    "import sys, duckdb\nout, *logs = sys.argv[1:]\n"
    "duckdb.sql(\"SET preserve_insertion_order=false; SET memory_limit='2GB'\")\n"
    'duckdb.sql(f"COPY (SELECT json FROM read_ndjson_objects({logs!r}, maximum_object_size=1048576) '
    "WHERE json->>'$.kind' IS NULL ORDER BY json->>'$.event.timestamp') "
    "TO '{out}' (FORMAT csv, HEADER false, QUOTE '')\")\n"
)


def events(count: int, boot: str, run: str) -> Iterator[bytes]:
    """EventRecords in nearly the order of their times."""
    dice = random.Random(boot)
    for number in range(count):
        at = number * 1_000_000 + dice.randrange(3_000_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime((BASE_NS + at) // 10**9))
        yield (
            f'{{"timestamp":"{stamp}.{at // 1000 % 10**6:06d}Z","sequence":{number + 1},"source":"{dice.choice(SOURCES)}",'
            f'"category":"Kernel","severity":"Info","message":"EXT4-fs (sda1): mounted filesystem {number} with ordered mode",'
            f'"attributes":[{{"key":"boot_id","value":"{boot}"}},{{"key":"hostname","value":"h7"}}],"schema":"observer.event/1",'
            f'"type":"kernel.message","run":"{run}",'
            f'"collector":{{"wall_ns":{BASE_NS + at},"monotonic_ns":{at + 1},"boottime_ns":{at + 1}}}}}'
        ).encode()


def write_log(path: Path, count: int, boot: str) -> None:
    """Seal them, rotating at 256 MiB."""
    with SealedLog.create(path, durability="buffered", origin=f"bench/{boot}", rotate_bytes=256 << 20) as log:
        batch: list[bytes] = []
        for one in events(count, boot, boot * 8):
            batch.append(one)
            if len(batch) == BATCH:
                log.append_batch(batch)
                batch.clear()
        if batch:
            log.append_batch(batch)


def measured(command: list[str], output: Path | None = None) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MiB of a command."""
    target = output.open("wb") if output else subprocess.DEVNULL
    begun = time.perf_counter()
    process = subprocess.Popen(
        ["/usr/bin/env", "time", "-f", "%U %S %M", *command], stdout=target, stderr=subprocess.PIPE
    )
    _, complaint = process.communicate()
    wall = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"{command[0]} failed: {complaint.decode(errors='replace')[-400:]}")
    user, system, peak = complaint.decode().strip().splitlines()[-1].split()
    return wall, float(user) + float(system), int(peak) / 1024


def show(name: str, cost: tuple[float, float, float], count: int, ours: tuple[float, float, float]) -> None:
    wall, cpu, peak = cost
    print(
        f"{name:22} {wall:7.1f} s {cpu:7.1f} CPU s {peak:8.0f} MiB   {count / wall:>10,.0f} events/s   "
        f"wall {wall / ours[0]:5.2f} x, memory {peak / ours[2]:5.2f} x ours"
    )


def peers(folder: Path, output: Path, count: int, ours: tuple[float, float, float]) -> None:
    """Run those peers that are installed and print their rows."""
    sidecars = (".chainstate", ".manifest", ".checkpoint")
    files = [str(file) for file in sorted(folder.glob("*-events.log*")) if file.suffix not in sidecars]
    if importlib.util.find_spec("duckdb"):
        show(
            "DuckDB order by",
            measured([sys.executable, "-c", DUCK, str(output), *files]),
            count,
            ours,
        )
        output.unlink(missing_ok=True)
    else:
        print("DuckDB                 not installed: pip install duckdb")
    if not shutil.which("jq"):
        print("jq                     not installed")
    elif count > JQ_LIMIT:
        print(f"jq -s sort_by          not run: it holds all events in memory, tried to {JQ_LIMIT:,}")
    else:
        files = [
            str(file)
            for file in sorted(folder.glob("*-events.log*"))
            if "state" not in file.name and "manifest" not in file.name
        ]
        command = [
            "jq",
            "-c",
            "-s",
            "map(select(.kind == null)) | sort_by(.event.timestamp) | .[]",
            *files,
        ]
        show("jq -s sort_by", measured(command, output), count, ours)


def main() -> int:
    """Write the logs, run each, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--directory", type=Path, help="where the logs go (default: a temporary directory)")
    arguments = parser.parse_args()
    count = arguments.events
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        host, guest = Path(folder) / "host-events.log", Path(folder) / "guest-events.log"
        write_log(host, count // 2, "a1")
        write_log(guest, count // 2, "b2")
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        print(f"{count:,} events, {size / (1 << 20):,.0f} MiB sealed")
        output = Path(folder) / "out.json"
        ours = measured([sys.executable, "-c", OURS, str(host), str(guest), str(output)])
        show("observer report", ours, count, ours)
        with output.open("rb") as stream:
            written = sum(1 for line in stream if line.startswith(b'{"origin"'))
        assert written == count, (written, count)
        output.unlink()
        peers(Path(folder), output, count, ours)
    return 0


if __name__ == "__main__":
    sys.exit(main())
