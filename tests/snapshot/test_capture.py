# SPDX-License-Identifier: Apache-2.0
"""What is captured is what was there: every page, at one instant, and the target goes on as if nothing had been."""

from __future__ import annotations

import itertools
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from observer import snapshot
from observer.errors import ChunkMismatch, NotFoundError, TracePermission, UsageError
from tests.snapshot.conftest import Start
from tests.snapshot.independent import Reader

TORN_RUNS = int(os.environ.get("OBSERVER_TORN_SNAPSHOTS", "25"))


def take(pid: int, **choices: object) -> snapshot.SnapshotFile:
    """Take a snapshot of a process and open it."""
    options = snapshot.SnapshotOptions(**choices)  # type: ignore[arg-type]
    taken = snapshot.Snapshotter(snapshot.process_target(pid)).take(options)
    return snapshot.open_snapshot(taken.snapshot_id)


def let_it_wait(pid: int) -> None:
    """Wait until all threads of the process wait in the kernel, as they do for good."""
    end = time.monotonic() + 30
    while any("running" in (task / "syscall").read_text() for task in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("tracking", ["auto", "fork", "stop"])
@pytest.mark.parametrize("kept_as", list(snapshot.SnapshotFormat))
def test_every_page_is_that_of_the_process(
    start: Start, tracking: str, kept_as: snapshot.SnapshotFormat
) -> None:
    process = start("threads")
    let_it_wait(process.pid)
    file = take(process.pid, tracking=tracking, format=kept_as)
    key = None
    if file.encrypted:
        from observer import _native
        from observer.snapshot.keys import unwrap_file_key

        block = _native.snapshot_start(str(file.path))[3]
        key = unwrap_file_key(block, snapshot.SnapshotStore().keys(), file.path)
    # Of the three mebibytes that were filled, and of the program's own.
    assert Reader(file.path, key).compare_with(process.pid) > 768
    proof = snapshot.verify_snapshot(file, snapshot.SnapshotStore())
    assert proof.sealed
    assert proof.signer
    if tracking == "auto" and sys.platform == "linux" and os.uname().machine == "x86_64":
        version = tuple(int(part) for part in os.uname().release.split(".")[:2])
        assert file.manifest["method"]["tracking"] == ("uffd-wp" if version >= (6, 7) else "stop")


def test_memory_of_every_kind_is_there(start: Start) -> None:
    process = start("threads")
    analysis = snapshot.restore_for_analysis(take(process.pid).snapshot_id)
    for text in (
        b"needle in the heap",
        b"alone in the reserve",
        b"alone again",
        b"written to the memfd",
        b"shared without a file",
        b"behind this there is a guard",
        b"locked in memory",
    ):
        assert list(analysis.find(text)), text
    assert not list(analysis.find(b"not to be dumped\0\0\0\0"))
    hidden = [r for r in analysis.maps() if "DONTDUMP" in r.facts.get("why", "")]
    assert hidden
    assert hidden[0].content is None
    special = {region.name: region.policy for region in analysis.maps()}
    assert special["[vvar]"] == "excluded"
    reserved = max(analysis.maps(), key=lambda region: region.size)
    assert reserved.size == 16 << 40
    assert Path(snapshot.open_snapshot("last").path).stat().st_size < 64 << 20
    asked = take(process.pid, selection=snapshot.Selection(dontdump=True))
    assert list(snapshot.Analysis(asked).find(b"not to be dumped\0\0\0\0"))


def test_state_is_there(start: Start) -> None:
    process = start("threads")
    let_it_wait(process.pid)
    file = take(process.pid)
    analysis = snapshot.Analysis(file)
    assert len(analysis.threads()) == 4
    for thread in analysis.threads():
        text = Path(f"/proc/{process.pid}/task/{thread.tid}/syscall").read_text().split()
        assert thread.registers["orig_rax"] == int(text[0])
        assert thread.registers["rsp"] == int(text[-2], 16)
        assert thread.program_counter == int(text[-1], 16)
    assert (
        file.component("process", "cmdline", pid=process.pid)
        == Path(f"/proc/{process.pid}/cmdline").read_bytes()
    )
    assert (
        file.component("process", "environ", pid=process.pid)
        == Path(f"/proc/{process.pid}/environ").read_bytes()
    )
    found = [json.loads(c.data) for c in file.components() if c.component_type == "descriptor"]
    assert any(fd["path"] == "/etc/hostname" and fd["offset"] == 2 for fd in found)
    sockets = [fd for fd in found if fd.get("family") == "tcp"]
    assert sockets[0]["state"] == "listen"
    assert sockets[0]["local"].startswith("127.0.0.1:")
    for kind in ("net", "mnt", "pid", "user"):
        inode = Path(f"/proc/{process.pid}/ns/{kind}").stat().st_ino
        assert file.component("namespace", kind, pid=process.pid) == str(inode).encode()
    assert b"MemTotal" in (file.component("kernel", "meminfo") or b"")
    assert b"Uid:" in (file.component("process", "status", pid=process.pid) or b"")
    assert file.component("process", "mountinfo", pid=process.pid)
    assert file.component("registers", "xstate", pid=process.pid, tid=process.pid)
    assert file.component("signals", "sigmask", pid=process.pid, tid=process.pid) == bytes(8)


def test_the_target_is_left_as_it_was(start: Start) -> None:
    process = start("threads")

    def looks() -> tuple[object, ...]:
        status = Path(f"/proc/{process.pid}/status").read_text()
        keep = ("TracerPid", "State", "SigBlk", "SigPnd", "Threads", "Seccomp")
        facts = [line for line in status.splitlines() if line.startswith(keep)]
        calls = [
            (task / "syscall").read_text() for task in sorted(Path(f"/proc/{process.pid}/task").iterdir())
        ]
        return (
            facts,
            calls,
            sorted(Path(f"/proc/{process.pid}/fd").iterdir()),
            Path(f"/proc/{process.pid}/maps").read_text(),
        )

    let_it_wait(process.pid)
    before = looks()
    snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
    snapshotter.take()
    snapshotter.take()
    snapshot.restore_for_analysis(take(process.pid).snapshot_id).threads()
    del snapshotter
    let_it_wait(process.pid)
    assert looks() == before


def check_ledger(file: snapshot.SnapshotFile) -> int:
    """Read both processes' numbers and hold them to the invariant; returns the step."""
    parent, child = sorted(
        file.manifest["processes"], key=lambda p: p["ppid"] in [q["pid"] for q in file.manifest["processes"]]
    )
    numbers = []
    for pid, base in (
        (parent["pid"], 0x200000000000),
        (parent["pid"], 0x210000000000),
        (child["pid"], 0x200000000000),
    ):
        memory = file.read(pid, base, 96 * 4096 * 3)
        numbers += [struct.unpack_from("<Q", memory, n * 37 % 96 * 4096 * 3)[0] for n in range(96)]
    shared = file.read(child["pid"], 0x210000000000, 96 * 4096 * 3)
    assert shared == file.read(parent["pid"], 0x210000000000, 96 * 4096 * 3)
    falls = [a - b for a, b in itertools.pairwise(numbers) if a != b]
    assert falls in ([], [1]), f"torn: {numbers}"
    return int(numbers[0])


@pytest.mark.parametrize("tracking", ["auto", "fork", "stop"])
def test_memory_is_that_of_one_instant(start: Start, tracking: str) -> None:
    process = start("ledger")
    snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
    steps = []
    for _ in range(TORN_RUNS):
        taken = snapshotter.take(
            snapshot.SnapshotOptions(tracking=tracking, format=snapshot.SnapshotFormat.RAW)
        )
        steps.append(check_ledger(snapshot.open_snapshot(taken.snapshot_id)))
    assert steps == sorted(steps)
    assert steps[-1] > steps[0], "the processes went on in between"


def test_increments_hold_only_what_was_written(start: Start) -> None:
    process = start("threads")
    let_it_wait(process.pid)
    snapshotter = snapshot.Snapshotter(snapshot.process_target(process.pid))
    first = snapshotter.take()
    second = snapshotter.take()
    assert second.method["increment"]
    assert second.totals["stored_bytes"] < first.totals["stored_bytes"] / 20
    assert Reader(second.path).compare_with(process.pid) > 768
    for taken in (first, second):
        snapshot.verify_snapshot(snapshot.open_snapshot(taken.snapshot_id), snapshot.SnapshotStore())
    del snapshotter  # and with it the marks, which look like pages in swap to a second session
    again = take(process.pid)
    assert again.manifest["totals"]["stored_bytes"] < first.totals["stored_bytes"] / 20, (
        "pages are shared across snapshots"
    )


def test_regions_are_selected(start: Start) -> None:
    process = start("threads")
    heap = next(r for r in snapshot.Analysis(take(process.pid)).maps() if r.name == "[heap]")
    chosen = snapshot.Selection(names=("[heap]",), components=("registers",))
    file = take(process.pid, selection=chosen, alone=True)
    copied = [r for r in file.regions() if r.policy != "excluded"]
    assert [r.address for r in copied] == [heap.address]
    assert {c.component_type for c in file.components()} == {"registers"}
    hashed = take(process.pid, selection=snapshot.Selection(hash_only=("*",)), alone=True)
    region = next(r for r in hashed.regions() if r.address == heap.address)
    assert region.content is None
    assert region.content_hash == copied[0].content_hash
    with pytest.raises(ChunkMismatch, match="only the digest"):
        hashed.read(process.pid, heap.address, 16)
    assert hashed.path.stat().st_size < 1 << 20


OWN = """
import subprocess, sys
from observer import snapshot
target = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
try:
    target.stdout.readline()
    capabilities = open(f"/proc/{target.pid}/status").read().partition("CapEff:")[2].split()[0]
    taken = snapshot.Snapshotter(snapshot.process_target(target.pid)).take()
    snapshot.verify_snapshot(snapshot.open_snapshot(taken.snapshot_id), snapshot.SnapshotStore())
    assert target.poll() is None
    print(capabilities, taken.method["tracking"], *taken.method["labels"])
finally:
    target.kill()
"""


@pytest.mark.parametrize("name", ["threads", "filtered"])
def test_no_capability_is_needed_for_ones_own_processes(build: Callable[[str], Path], name: str) -> None:
    command = [sys.executable, "-c", OWN, str(build(name))]
    if os.geteuid() == 0:
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *command]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    capabilities, tracking, *labels = result.stdout.split()
    assert int(capabilities, 16) == 0
    if name == "filtered":
        assert tracking == "stop"
        assert "seccomp" in labels or "PAGEMAP_SCAN" in labels
    elif not labels:
        assert tracking == "uffd-wp"


def test_what_cannot_be_is_refused(start: Start) -> None:
    with pytest.raises(NotFoundError):
        snapshot.create_snapshot(pid=2**22 + 1)
    with pytest.raises(UsageError, match="itself"):
        snapshot.create_snapshot(pid=os.getpid())
    with pytest.raises(UsageError):
        snapshot.create_snapshot()
    process = start("threads")
    tracer = subprocess.Popen(["strace", "-f", "-p", str(process.pid)], stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None
        assert b"attached" in tracer.stderr.readline()
        with pytest.raises(TracePermission, match=f"traced by process {tracer.pid}"):
            snapshot.create_snapshot(pid=process.pid)
    finally:
        tracer.terminate()
        tracer.communicate()
