# SPDX-License-Identifier: Apache-2.0
"""observer snapshot list, show, verify, strings: what a snapshot says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe
from observer.cli.snapshots.words import SCHEMA, show_bytes, show_pause
from observer.clock import to_datetime
from observer.errors import ObserverError
from observer.snapshot.analysis import Analysis
from observer.snapshot.exchange import verify_snapshot
from observer.snapshot.file import SnapshotFile
from observer.snapshot.store import SnapshotStore

__all__ = ["ListSnapshots", "ShowSnapshot", "Strings", "VerifySnapshot"]

_SHOWN: Final = 400  # characters of a component in text


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a snapshot."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="a path, the first letters of an id, or 'last'")


def open_named(args: argparse.Namespace) -> SnapshotFile:
    """Open the snapshot that the arguments name."""
    store = SnapshotStore()
    return SnapshotFile(store.find(args.snapshot), store.keys())


class ListSnapshots:
    """List the snapshots of the store, oldest first."""

    name: ClassVar[str] = "list"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        parser.add_argument("--json", action="store_true", help="one JSON object on a line")

    def run(self, args: argparse.Namespace) -> int:
        """List them."""
        store = SnapshotStore()
        for snapshot_id, path in store.entries():
            facts: dict[str, Any] = {
                "snapshot_id": str(snapshot_id),
                "path": str(path),
                "bytes": path.stat().st_size,
            }
            try:
                manifest = SnapshotFile(path, store.keys()).manifest
                facts |= {"wall_ns": manifest["wall_ns"], "target": manifest["target"].get("name", "")}
            except ObserverError as error:
                facts["error"] = f"{error.code}: {error}"
            if args.json:
                print_json(SCHEMA, "entry", facts)
                continue
            when = to_datetime(facts["wall_ns"]).isoformat(" ", "milliseconds") if "wall_ns" in facts else "?"
            what = facts.get("error") or facts.get("target")
            _line(f"{snapshot_id}  {when}  {show_bytes(facts['bytes']):>10}  {what}")
        return exit_codes.OK


class ShowSnapshot:
    """Show what a snapshot holds: processes, threads, regions, descriptors, how it was captured.

    Examples:
      observer snapshot show last
      observer snapshot show 8f0e --regions
      observer snapshot show 8f0e --component process/environ
      observer snapshot show 8f0e --read 7ffd1c000000 --length 64
    """

    name: ClassVar[str] = "show"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        add_name(parser)
        parser.add_argument("--regions", action="store_true", help="every region")
        parser.add_argument("--threads", action="store_true", help="every thread with its registers")
        parser.add_argument("--descriptors", action="store_true", help="every descriptor")
        parser.add_argument("--component", metavar="TYPE[/NAME]", help="the bytes of components, as text")
        parser.add_argument(
            "--read", type=lambda text: int(text, 16), metavar="ADDRESS", help="memory at an address"
        )
        parser.add_argument(
            "--length", type=int, default=256, metavar="N", help="bytes to read (default 256)"
        )
        parser.add_argument("--pid", type=int, metavar="PID", help="of this process only")
        parser.add_argument("--json", action="store_true", help="one JSON object on a line")

    def run(self, args: argparse.Namespace) -> int:
        """Show it."""
        file = open_named(args)
        if args.read is not None:
            _show_memory(file, args)
        elif args.component:
            _show_components(file, args)
        elif args.json:
            for kind, values in _objects(file, args):
                print_json(SCHEMA, kind, values)
        else:
            _show(file, args)
        return exit_codes.OK


def _objects(file: SnapshotFile, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    manifest = file.manifest
    whole = {
        key: value for key, value in manifest.items() if key not in ("processes", "components", "schema")
    }
    yield "snapshot", whole | {"manifest_digest": file.manifest_digest, "path": str(file.path)}
    analysis = Analysis(file)
    for process in manifest["processes"]:
        if args.pid in (None, process["pid"]):
            yield "process", {key: value for key, value in process.items() if key != "regions"}
            for region in process["regions"]:
                yield "region", {"pid": process["pid"]} | {k: v for k, v in region.items() if k != "nodes"}
            for thread in analysis.threads(process["pid"]):
                yield (
                    "thread",
                    {
                        "pid": thread.pid,
                        "tid": thread.tid,
                        "name": thread.name,
                        "registers": dict(thread.registers),
                    },
                )
    for item in manifest["components"]:
        yield "component", {key: value for key, value in item.items() if key != "frames"}


def _show(file: SnapshotFile, args: argparse.Namespace) -> None:
    manifest, method = file.manifest, file.manifest["method"]
    _line(f"snapshot  {manifest['snapshot_id']}")
    _line(f"taken     {to_datetime(manifest['wall_ns']).isoformat(' ', 'microseconds')} UTC")
    _line(f"target    {manifest['target'].get('name', '')}")
    _line(f"manifest  {file.manifest_digest}")
    if "pauses_ns" in method:
        pauses = ", ".join(map(show_pause, method["pauses_ns"]))
        _line(
            f"method    {method['tracking']}; stopped {pauses}; {method['rounds']} rounds, {method['reread_pages']} pages again"
        )
    for label in method.get("labels", []):
        _line(f"          {label}")
    totals = manifest["totals"]
    for name in ("stored", "duplicate", "zero", "excluded"):
        if f"{name}_bytes" in totals:
            _line(f"{name:<9} {show_bytes(totals[f'{name}_bytes'])}")
    for process in manifest["processes"]:
        if args.pid in (None, process["pid"]):
            _show_process(file, process, args)


def _show_process(file: SnapshotFile, process: dict[str, Any], args: argparse.Namespace) -> None:
    pid = process["pid"]
    command = (
        (file.component("process", "cmdline", pid=pid) or b"").replace(b"\0", b" ").decode(errors="replace")
    )
    _line(
        f"\nprocess {pid} ({process['comm']}), parent {process['ppid']}, {len(process['threads'])} threads: {command}"
    )
    if args.regions:
        for region in process["regions"]:
            span = f"{region['start']:012x}-{region['start'] + region['size']:012x}"
            why = f"  ({region['why']})" if region.get("why") else ""
            _line(
                f"  {span} {region['permissions']} {show_bytes(region['size']):>10} {region['policy']:<9} {region['name']}{why}"
            )
    else:
        _line(
            f"  {len(process['regions'])} regions, {show_bytes(sum(r['size'] for r in process['regions']))} mapped"
        )
    if args.threads:
        analysis = Analysis(file)
        for thread in analysis.threads(pid):
            symbol = analysis.symbols(pid=pid).at(thread.program_counter)
            within = "" if symbol is None else f" in {symbol.name}"
            _line(f"  thread {thread.tid} ({thread.name}) at {thread.program_counter:#x}{within}")
            words = [f"{name}={value:#x}" for name, value in thread.registers.items()]
            for at in range(0, len(words), 6):
                _line("    " + " ".join(words[at : at + 6]))
    if args.descriptors:
        for item in file.manifest["components"]:
            if item["type"] == "descriptor" and item["pid"] == pid:
                text = (file.component("descriptor", item["name"], pid=pid) or b"").decode(errors="replace")
                _line(f"  fd {item['name']}: {text}")


def _show_components(file: SnapshotFile, args: argparse.Namespace) -> None:
    kind, _, name = args.component.partition("/")
    for index, item in enumerate(file.manifest["components"]):
        wanted = item["type"] == kind and (not name or item["name"] == name)
        if not wanted or args.pid not in (None, item.get("pid", 0)):
            continue
        data = file.reader.component(index) or b""
        facts = {key: value for key, value in item.items() if key != "frames"}
        if args.json:
            print_json(SCHEMA, "component", facts | {"text": data.decode("utf-8", "backslashreplace")})
            continue
        text = data.decode("utf-8", "replace").replace("\0", "\n")
        place = f" of process {item['pid']}" if item.get("pid") else ""
        _line(f"== {item['type']} {item['name']}{place}")
        for line in text.splitlines():
            _line(line[:_SHOWN])


def _show_memory(file: SnapshotFile, args: argparse.Namespace) -> None:
    data = Analysis(file).read(args.read, args.length, pid=args.pid)
    if args.json:
        print_json(SCHEMA, "memory", {"address": args.read, "hex": data.hex()})
        return
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        _line(f"{args.read + at:012x}  {row.hex(' '):<47}  {text}")


class VerifySnapshot:
    """Prove that every page, region and component of a snapshot is as it was captured.

    Checks digests, seals, the signature, and that the store's sealed log tells of this very manifest. What does not hold is
    named by region and page.
    """

    name: ClassVar[str] = "verify"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        add_name(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Prove it, or fail with what does not hold."""
        file = open_named(args)
        proof = verify_snapshot(file, SnapshotStore())
        if args.json:
            values = {
                name: getattr(proof, name)
                for name in ("manifest_digest", "pages", "regions", "components", "bytes", "signer", "sealed")
            }
            print_json(SCHEMA, "proof", {"snapshot_id": str(proof.snapshot_id), **values})
            return exit_codes.OK
        _line(
            f"holds: {proof.pages:,} pages, {proof.regions:,} regions, {proof.components:,} components, {show_bytes(proof.bytes)}"
        )
        _line(f"signed by {proof.signer}" if proof.signer else "the signature's key is not known here")
        _line(
            "the sealed log tells of it"
            if proof.sealed
            else "the sealed log of this store does not tell of it"
        )
        return exit_codes.OK


class Strings:
    """Print the printable strings in a snapshot's memory, with process and address.

    Examples:
      observer snapshot strings last --pattern 'password'
    """

    name: ClassVar[str] = "strings"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        add_name(parser)
        parser.add_argument("--pid", type=int, metavar="PID", help="of this process only")
        parser.add_argument("--shortest", type=int, default=6, metavar="N", help="characters (default 6)")
        parser.add_argument("--pattern", default="", metavar="REGEX", help="only strings that contain this")
        parser.add_argument("--json", action="store_true", help="one JSON object on a line")

    def run(self, args: argparse.Namespace) -> int:
        """Print them."""
        analysis = Analysis(open_named(args))
        for found in analysis.strings(pid=args.pid, shortest=args.shortest, pattern=args.pattern):
            if args.json:
                print_json(SCHEMA, "string", {"pid": found.pid, "address": found.address, "text": found.text})
            else:
                _line(f"{found.pid} {found.address:012x} {found.text}")
        return exit_codes.OK


def _line(text: str) -> None:
    sys.stdout.write("".join(safe(part) + ("\n" if end else "") for part, end in _parts(text)))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield lines of ours; a leading newline is layout, everything else of a line is made safe."""
    if text.startswith("\n"):
        yield "", True
        text = text[1:]
    yield text, True
