# SPDX-License-Identifier: Apache-2.0
"""What one kernel report says."""

from __future__ import annotations

from dataclasses import dataclass

from observer.report.sources import LogLine

__all__ = ["KernelReport"]


@dataclass(frozen=True, slots=True)
class KernelReport:
    """A fault the kernel reported.

    Attributes:
        title: One line that names the fault and the function, such as `KASAN: use-after-free Read in sock_poll`.
        type: Class of the fault, such as `KASAN-USE-AFTER-FREE-READ`, or None where the labelled sets give none.
        format: Id of the format in `formats/*.toml` that matched.
        corrupted: The report lacks what its kind always prints; the function may be missing (`corrupted` stands for it).
        panicked: The report goes on to a panic of the kernel.
        group: What the report speaks of in general: `fault`, `sanitizer`, `hang`, `lock`, `warning`, `panic`, `leak`,
            `race` or `test`.
        head: The line the report begins with.
        last: The last line that belongs to it.
        panic: The panic line, where there is one.
    """

    title: str
    type: str | None
    format: str
    corrupted: bool
    panicked: bool
    group: str
    head: LogLine
    last: LogLine
    panic: LogLine | None = None
