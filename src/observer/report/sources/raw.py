# SPDX-License-Identifier: Apache-2.0
"""Bytes of a source as lines: plain, gzip, bzip2 or xz, a file or standard input, in bounded memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from observer.errors import FormatError, NotFoundError, UsageError

__all__ = ["MAX_LINE_BYTES", "open_bytes", "read_lines"]

MAX_LINE_BYTES = 65_536
"""Longest line kept whole; the longest line a kernel or journald prints is shorter. What follows is read as a further line."""

_MAGIC: dict[bytes, str] = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}


def open_bytes(path: Path | str) -> IO[bytes]:
    """Open a source for reading; `-` is standard input; compressed files are recognised by their first bytes.

    Raises:
        NotFoundError: There is no such file.
        UsageError: The path is a directory or may not be read.
    """
    if str(path) == "-":
        return sys.stdin.buffer
    path = Path(path)
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(
            f"no such log file: {path}", hint="check the path", where={"path": str(path)}
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint="give a readable log file",
            where={"path": str(path)},
        ) from error
    head = stream.peek(6)
    kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    if kind == "gzip":
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if kind == "bzip2":
        return bz2.BZ2File(stream)
    if kind == "xz":
        return lzma.LZMAFile(stream)
    return stream


def read_lines(path: Path | str) -> Iterator[bytes]:
    """Yield each line without its line end, cut at `MAX_LINE_BYTES`.

    Raises:
        FormatError: A compressed source is damaged.
        NotFoundError, UsageError: See `open_bytes`.
    """
    with open_bytes(path) as stream:
        try:
            first = stream.readline(MAX_LINE_BYTES)
            if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                yield from _utf16(first, stream)
                return
            if first:
                yield first.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")
            while line := stream.readline(MAX_LINE_BYTES):
                yield line.rstrip(b"\r\n")
        except (EOFError, OSError, lzma.LZMAError) as error:
            raise FormatError(
                f"{path} cannot be read to its end: {error}",
                hint="decompress it by hand and give what can be saved",
                where={"path": str(path)},
            ) from error


def _utf16(first: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    """The lines, in UTF-8, of a text in UTF-16, which is what PowerShell writes behind `>`."""
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    rest, piece = "", first
    while piece:
        *lines, rest = (rest + decoder.decode(piece)).split("\n")
        yield from (line.rstrip("\r").encode() for line in lines)
        piece = stream.read(MAX_LINE_BYTES)
    if rest:
        yield rest.encode()
