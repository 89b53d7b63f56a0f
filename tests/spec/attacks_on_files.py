# SPDX-License-Identifier: Apache-2.0
"""More attacks, on whole files and first lines: what is in place of a file, under which name, in which form."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.spec.attacks import NAME, OTHER, Victim, middle


def _change(file: Path, before: bytes, after: bytes) -> None:
    data = file.read_bytes()
    assert before in data
    file.write_bytes(data.replace(before, after, 1))


def flip_the_first_byte(v: Victim) -> None:
    _change(v.rotated[0], b"{", b"z")


def put_a_byte_order_mark_first(v: Victim) -> None:
    v.rotated[0].write_bytes(b"\xef\xbb\xbf" + v.rotated[0].read_bytes())


def change_the_name_of_the_format(v: Victim) -> None:
    _change(v.rotated[0], b"observer-evidence-log", b"observer-evidence-lof")


def end_lines_as_windows_does(v: Victim) -> None:
    v.rotated[0].write_bytes(v.rotated[0].read_bytes().replace(b"\n", b"\r\n"))


def cut_the_first_file_to_half_a_line(v: Victim) -> None:
    v.rotated[0].write_bytes(v.rotated[0].read_bytes()[:40])


def empty_the_live_file(v: Victim) -> None:
    v.live.write_bytes(b"")


def zero_the_live_file(v: Victim) -> None:
    v.live.write_bytes(bytes(v.live.stat().st_size))


def empty_a_rotated_file(v: Victim) -> None:
    v.rotated[1].write_bytes(b"")


def copy_a_rotated_file_under_another_time(v: Victim) -> None:
    file = v.rotated[1]
    shutil.copy(file, re.sub(r"\.\d{8}T\d{6}Z\.", ".20200101T000000Z.", str(file)))


def rename_a_rotated_file(v: Victim) -> None:
    file = v.rotated[1]
    renamed = f"{str(file)[:-4]}9999"
    Path(f"{file}.manifest").rename(f"{renamed}.manifest")
    file.rename(renamed)


def put_the_last_rotated_file_in_place_of_the_live_one(v: Victim) -> None:
    shutil.copy(v.rotated[-1], v.live)


def call_the_last_rotated_file_the_live_one(v: Victim) -> None:
    v.rotated[-1].replace(v.live)


def replace_by_a_fifo(v: Victim) -> None:
    file = v.rotated[0]
    file.unlink()
    os.mkfifo(file)


def replace_by_a_directory(v: Victim) -> None:
    file = v.rotated[0]
    file.unlink()
    file.mkdir()


def swap_manifests(v: Victim) -> None:
    one, other = (Path(f"{file}.manifest") for file in v.rotated[:2])
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def append_a_line_of_garbage(v: Victim) -> None:
    v.live.write_bytes(v.live.read_bytes() + b"garbage\n")


def append_an_empty_line(v: Victim) -> None:
    v.live.write_bytes(v.live.read_bytes() + b"\n")


def escape_a_letter(v: Victim) -> None:
    file, lines, at = middle(v)
    lines[at] = lines[at].replace(b"benign", rb"\u0062enign")
    v.write(file, lines)


def move_the_hmac_behind_the_chain(v: Victim) -> None:
    file, lines, at = middle(v)
    mac, chain = lines[at].rindex(b',"hmac"'), lines[at].rindex(b',"chainHash"')
    lines[at] = lines[at][:mac] + lines[at][chain:-1] + lines[at][mac:chain] + b"}"
    v.write(file, lines)


def claim_a_size_beyond_counting(v: Victim) -> None:
    nodes = b",".join(b'"%s"' % (b"0" * 64) for _ in range(64))
    line = v.lines(v.live)[0]
    for name in (b"seq", b"size"):
        line = re.sub(rb'"%s":\d+' % name, b'"%s":%d' % (name, 2**64 - 1), line, count=1)
    v.write(v.live, [re.sub(rb'"frontier":\[[^]]*\]', b'"frontier":[%s]' % nodes, line)])


def delete_all_rotated_files_with_manifests(v: Victim) -> None:
    for path in v.directory.glob(f"{NAME}.2*"):
        path.unlink()


def delete_all_manifests(v: Victim) -> None:
    for path in v.directory.glob("*.manifest"):
        path.unlink()


def _pack(file: Path) -> Path:
    subprocess.run(["zstd", "-q", "--rm", str(file)], check=True)
    return Path(f"{file}.zst")


def flip_a_bit_in_a_compressed_file(v: Victim) -> None:
    packed = _pack(v.rotated[1])
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1
    packed.write_bytes(data)


def cut_a_compressed_file(v: Victim) -> None:
    packed = _pack(v.rotated[1])
    packed.write_bytes(packed.read_bytes()[:-300])


def replace_by_a_compressed_bomb(v: Victim) -> None:
    file = v.rotated[1]
    with file.open("wb") as opened:
        opened.truncate(1 << 30)
    _pack(file)


def replace_the_checkpoint_by_garbage(v: Victim) -> None:
    (v.directory / f"{NAME}.checkpoint").write_bytes(b"x\n1\n" + OTHER)
