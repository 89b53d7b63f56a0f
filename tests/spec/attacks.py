# SPDX-License-Identifier: Apache-2.0
"""What an attacker does to a log: each attack gets a directory with a log and changes it; the tests say who notices.

The log under attack is signed, rotated, checkpointed and closed; the attacker writes anywhere in the directory.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from observer.evidence import SealedLog
from tests.spec.evidence_forge import KEY, SEED, Forge, reseal

NAME = "host-events.log"
ORIGIN = "example.org/host-events"
OTHER = bytes([9]) * 32


@dataclass
class Victim:
    """A directory with one log of several files, and what is known of it elsewhere."""

    directory: Path
    known: str = ""
    older: Path | None = None

    @property
    def live(self) -> Path:
        return self.directory / NAME

    @property
    def rotated(self) -> list[Path]:
        return sorted(path for path in self.directory.glob(f"{NAME}.2*") if path.suffix[1:].isdigit())

    @property
    def files(self) -> list[Path]:
        return [path for path in [*self.rotated, self.live] if path.exists()]

    def lines(self, file: Path) -> list[bytes]:
        return file.read_bytes().splitlines()

    def write(self, file: Path, lines: list[bytes]) -> None:
        file.write_bytes(b"".join(line + b"\n" for line in lines))


def write_log(
    path: Path, *, key: bytes | None = KEY, seed: bytes = SEED, events: int = 230, keep: bool = False
) -> str:
    """Write a log of several files; returns its last checkpoint."""
    options = {"rotate_bytes": 24_000, "checkpoint_lines": 64, "keep_key": keep, "origin": ORIGIN}
    with SealedLog.create(path, key=key, signing_seed=seed, **options) as log:
        for number in range(events):
            log.append(b'{"n":%d,"text":"benign"}' % number)
        return log.checkpoint() or ""


def victim(place: Path) -> Victim:
    """Make the log under attack, an older copy of its directory, and a checkpoint that a peer holds."""
    directory = place / "log"
    directory.mkdir(mode=0o700)
    made = Victim(directory, older=place / "older")
    with SealedLog.create(
        made.live, key=KEY, signing_seed=SEED, rotate_bytes=20_000, checkpoint_lines=64, origin=ORIGIN
    ) as log:
        for number in range(350):
            if number == 280:
                log.sync()
                shutil.copytree(directory, place / "older")
            log.append(b'{"n":%d,"text":"benign"}' % number)
        made.known = log.checkpoint() or ""
    return made


def middle(v: Victim) -> tuple[Path, list[bytes], int]:
    file = v.rotated[0]
    return file, v.lines(file), 30


def edit_event(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at] = lines[at].replace(b"benign", b"forged")
    v.write(file, lines)


def edit_event_and_reseal_line(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at] = reseal([*lines[:at], lines[at].replace(b"benign", b"forged")], None, at)[at]
    v.write(file, lines)


def edit_event_and_reseal_file_with_another_key(v: Victim) -> None:
    file, lines, at = middle(v)
    v.write(file, reseal([*lines[:at], lines[at].replace(b"benign", b"forged"), *lines[at + 1 :]], OTHER, at))


def edit_last_line(v: Victim) -> None:
    lines = v.lines(v.live)
    lines[-1] = lines[-1].replace(b'"size":', b'"size":1')
    v.write(v.live, lines)


def edit_hmac(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at] = lines[at].replace(b'"hmac":"', b'"hmac":"0', 1)[: len(lines[at])]
    v.write(file, lines)


def delete_line(v: Victim) -> None:
    file, lines, at = middle(v)
    v.write(file, lines[:at] + lines[at + 1 :])


def delete_many_lines(v: Victim) -> None:
    file, lines, at = middle(v)
    v.write(file, lines[:at] + lines[at + 20 :])


def insert_line(v: Victim) -> None:
    file, lines, at = middle(v)
    forged = Forge(key=None, prev=bytes.fromhex(json.loads(lines[at - 1])["chainHash"]))
    forged.lines = lines[:at]
    v.write(file, [*forged.add({"n": 0}).lines, *lines[at:]])


def repeat_line(v: Victim) -> None:
    file, lines, at = middle(v)
    v.write(file, [*lines[: at + 1], *lines[at:]])


def swap_lines(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    v.write(file, lines)


def renumber_after_deletion(v: Victim) -> None:
    file, lines, at = middle(v)
    v.write(file, reseal([*lines[:at], *lines[at + 1 :]], None, at))


def line_from_another_log(v: Victim) -> None:
    file, lines, at = middle(v)
    write_log(v.directory.parent / "other.log")
    other = sorted(v.directory.parent.glob("other.log.2*0"))[0]
    lines[at] = v.lines(other)[at]
    v.write(file, lines)


def file_from_another_log(v: Victim) -> None:
    write_log(v.directory.parent / "other.log")
    shutil.copy(sorted(v.directory.parent.glob("other.log.2*0"))[0], v.rotated[0])


def cut_live_file(v: Victim) -> None:
    v.write(v.live, v.lines(v.live)[:-3])


def cut_live_file_and_remove_sidecars(v: Victim) -> None:
    cut_live_file(v)
    for suffix in (".chainstate", ".checkpoint"):
        (v.directory / (NAME + suffix)).unlink()


def cut_live_file_and_rewrite_chainstate(v: Victim) -> None:
    cut_live_file(v)
    chain = json.loads(v.lines(v.live)[-1])["chainHash"]
    (v.directory / f"{NAME}.chainstate").write_text(f"{chain}\n1\n1\n")


def cut_rotated_file(v: Victim) -> None:
    file = v.rotated[0]
    v.write(file, v.lines(file)[:-2])


def cut_inside_a_line_of_a_rotated_file(v: Victim) -> None:
    file = v.rotated[0]
    file.write_bytes(file.read_bytes()[:-50])


def zero_the_middle(v: Victim) -> None:
    file = v.rotated[0]
    data = bytearray(file.read_bytes())
    data[5000:5600] = bytes(600)
    file.write_bytes(data)


def delete_first_file_with_manifest(v: Victim) -> None:
    Path(f"{v.rotated[0]}.manifest").unlink()
    v.rotated[0].unlink()


def delete_middle_file(v: Victim) -> None:
    v.rotated[1].unlink()


def delete_middle_file_with_manifest(v: Victim) -> None:
    file = v.rotated[1]
    Path(f"{file}.manifest").unlink()
    file.unlink()


def delete_live_file(v: Victim) -> None:
    v.live.unlink()


def delete_manifest(v: Victim) -> None:
    Path(f"{v.rotated[0]}.manifest").unlink()


def edit_manifest(v: Victim) -> None:
    manifest = Path(f"{v.rotated[0]}.manifest")
    manifest.write_bytes(manifest.read_bytes().replace(b'"entries":', b'"entries":1'))


def edit_manifest_time(v: Victim) -> None:
    manifest = Path(f"{v.rotated[0]}.manifest")
    manifest.write_bytes(manifest.read_bytes().replace(b'"rotatedAt":"20', b'"rotatedAt":"19'))


def swap_rotated_files(v: Victim) -> None:
    first, second = v.rotated[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def replace_by_unsigned_log(v: Victim) -> None:
    for path in v.directory.iterdir():
        path.unlink()
    write_log(v.live, key=None)


def replace_by_log_with_another_hmac_key(v: Victim) -> None:
    for path in v.directory.iterdir():
        path.unlink()
    write_log(v.live, key=OTHER)


def replace_by_log_of_another_signer(v: Victim) -> None:
    for path in v.directory.iterdir():
        path.unlink()
    write_log(v.live, seed=OTHER, events=400)


def rewrite_all_with_both_stolen_keys(v: Victim) -> None:
    for path in v.directory.iterdir():
        path.unlink()
    write_log(v.live, events=400)


def roll_back_the_directory(v: Victim) -> None:
    assert v.older is not None
    shutil.rmtree(v.directory)
    shutil.copytree(v.older, v.directory)


def resign_checkpoint_with_another_key(v: Victim) -> None:
    from observer import _native

    text = v.known.split("\n\n")[0] + "\n"
    (v.directory / f"{NAME}.checkpoint").write_text(_native.note_sign(text, ORIGIN, OTHER))


def strip_hmac(v: Victim) -> None:
    for file in v.files:
        lines = [
            line[: line.rindex(b',"hmac":')] + line[line.rindex(b',"chainHash":') :] for line in v.lines(file)
        ]
        v.write(file, lines)


def duplicate_key_in_event(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at] = lines[at].replace(b'"text":"benign"', b'"n":0,"text":"benign"')
    v.write(file, lines)


def invalid_utf8(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at] = lines[at].replace(b"benign", b"ben\xffgn")
    v.write(file, lines)


def endless_line(v: Victim) -> None:
    file, lines, at = middle(v)
    with file.open("wb") as opened:
        opened.write(b"\n".join(lines[:at]) + b"\n")
        for _ in range(64):
            opened.write(b"x" * (1 << 20))
        opened.write(b"\n" + b"\n".join(lines[at:]) + b"\n")


def space_in_envelope(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at] = lines[at].replace(b'"seq":', b'"seq": ')
    v.write(file, lines)


def replace_by_symbolic_link(v: Victim) -> None:
    file = v.rotated[0]
    copy = v.directory.parent / "elsewhere"
    shutil.move(file, copy)
    file.symlink_to(copy)


def replace_by_hard_link_to_another_log(v: Victim) -> None:
    other = v.directory.parent / "other.log"
    write_log(other)
    file = v.rotated[0]
    file.unlink()
    os.link(sorted(v.directory.parent.glob("other.log.2*0"))[0], file)


def replay_an_old_line_at_the_end(v: Victim) -> None:
    v.write(v.live, [*v.lines(v.live), v.lines(v.live)[-2]])


def append_events_without_key(v: Victim) -> None:
    lines = v.lines(v.live)
    last = json.loads(lines[-1])
    forge = Forge(key=OTHER, prev=bytes.fromhex(last["chainHash"]))
    forge.lines = [b""] * (last["seq"] + 1)
    v.write(v.live, [*lines, forge.add({"n": "forged"}).lines[-1]])


def begin_again_in_the_middle(v: Victim) -> None:
    lines = v.lines(v.live)
    v.write(v.live, [*lines, *Forge(key=KEY).begin().lines])


def claim_more_epochs(v: Victim) -> None:
    lines = v.lines(v.live)
    header = json.loads(lines[0])
    epoch = header["event"]["hmac"]["epoch"]
    lines[0] = lines[0].replace(b'"epoch":%d' % epoch, b'"epoch":%d' % (1 << 40))
    v.write(v.live, lines)


Attack = Callable[[Victim], None]
