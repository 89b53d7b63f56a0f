# SPDX-License-Identifier: Apache-2.0
"""Bytes of a source as lines: plain, gzip, bzip2 or xz, a file or standard input, in bounded memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from observer.errors import FormatError, NotFoundError, UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

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
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.BufferedReader(_FromUtf16(stream))
    return stream


class _FromUtf16(io.RawIOBase):
    """A stream in UTF-16, which is what PowerShell writes behind `>`, as one in UTF-8."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        while not self._held and (piece := self._stream.read(MAX_LINE_BYTES)):
            self._held = self._decoder.decode(piece).encode("utf-8", "replace")
        count = min(len(view), len(self._held))
        view[:count], self._held = self._held[:count], self._held[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_lines(path: Path | str) -> Iterator[bytes]:
    """Yield each line without its line end, cut at `MAX_LINE_BYTES`.

    Raises:
        FormatError: A compressed source is damaged.
        NotFoundError, UsageError: See `open_bytes`.
    """
    with open_bytes(path) as stream:
        try:
            first = True
            while line := stream.readline(MAX_LINE_BYTES):
                yield (line.removeprefix(codecs.BOM_UTF8) if first else line).rstrip(b"\r\n")
                first = False
        except (EOFError, OSError, lzma.LZMAError) as error:
            raise FormatError(
                f"{path} cannot be read to its end: {error}",
                hint="decompress it by hand and give what can be saved",
                where={"path": str(path)},
            ) from error
