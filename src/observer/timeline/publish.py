# SPDX-License-Identifier: Apache-2.0
"""Gives a report to people and programs: as a page, as text, as the JSON itself."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from observer.timeline.master import MasterReport
from observer.timeline.page import render_page
from observer.timeline.text import render_report
from observer.timeline.view import read_view

__all__ = ["publish", "write_page"]


def publish(report: MasterReport, *, html: str | None, text: bool, document: bool) -> None:
    """Write the page where one is wanted; stdout gets the text, or else the document where it is wanted.

    Args:
        report: A report that was written.
        html: File of the page, or None.
        text: The rendering for people on stdout.
        document: The JSON on stdout.
    """
    if html or text:
        view = read_view(report.output)
        if html:
            write_page(Path(html), render_page(view))
        if text:
            sys.stdout.write(render_report(view))
            return
    if document:
        sys.stdout.flush()
        with report.output.open("rb") as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer, 1 << 18)


def write_page(path: Path, page: str) -> None:
    """Write a page that only its owner can read: it quotes logs as the document itself does."""
    with path.open("w", encoding="utf-8") as stream:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            os.fchmod(stream.fileno(), 0o600)
        stream.write(page)
