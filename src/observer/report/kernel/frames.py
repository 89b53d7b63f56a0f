# SPDX-License-Identifier: Apache-2.0
"""Stack frames and instruction pointers in kernel text, over architectures and kernel ages.

Sources of the line shapes: `arch/*/kernel/{dumpstack,traps,process,stacktrace}.c` of Linux 3.x to 6.x.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from observer.report.kernel.rust_names import demangle

__all__ = ["Frame", "clean_name", "parse_frames", "parse_pointer"]

_SYMBOL = r"(?P<{0}>[A-Za-z_.$<][\w.$<>:]*)"
_OFFSET = r"\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?"
_MARK = re.compile(
    r"<(?:IRQ|TASK|NMI|SOFTIRQ|EOI|EOE|UNK|#DF|#DB|#MC|ENTRY_TRAMPOLINE|NMI exception stack|EOE|/\w+)> *"
)
_ADDRESS = r"(?:\[<?[0-9a-fx]{8,18}>?\] *){0,2}(?:<[0-9a-f]{8,16}> *)?"
_FRAME = re.compile(
    r"\s*(?:<\w+>\s*)*(?:#\d+:?\s+)?"
    + _ADDRESS
    + r"(?P<doubt>\? |\(\? )?\(?"
    + _SYMBOL.format("name")
    + _OFFSET
    + r"\)?(?P<rest>.*)"
)
_INLINE = re.compile(r"\s+" + _SYMBOL.format("name") + r" [\w./+-]+\.(?:[chS]|rs):\d+ \[inline\]")
_ARM = re.compile(
    r"\s*(?:\[<[0-9a-f]+>\] )?\(?"
    + _SYMBOL.format("callee")
    + r"\)? from (?:\[<[0-9a-f]+>\] )?\(?"
    + _SYMBOL.format("caller")
    + _OFFSET
)
_POINTERS = (
    re.compile(
        r"\s*(?:RIP|EIP): *(?:00[16][08]:)?(?:\[<[0-9a-f]+>\] *)*(?P<name>[A-Za-z_.][\w.]*)" + _OFFSET
    ),
    re.compile(
        r"\s*(?:IP|EIP is at|PC is at|pc :|epc +:|NIP|nip :|era :|Krnl PSW|IP is at|PC:|ERET)[: ]*(?:[0-9a-f]+ ){0,2}"
        r"(?:\[<?[0-9a-f]+>?\] *)*\(?(?P<name>[A-Za-z_.][\w.]*)" + _OFFSET
    ),
)
_USER_POINTER = re.compile(r"\s*(?:RIP|EIP): *(?:0033|0023|002b|0073|:0):?")
_SUFFIX = re.compile(
    r"(?:\.(?:constprop|isra|part|cold|llvm|lto_priv|clone|localalias)(?:\.?\d+)?|\.__UNIQUE.*|\.\d+)+$"
)
_TAIL = re.compile(
    r"\s*(?:\[[\w .-]+\])?\s*(?:\(unreliable\)|\([FOPEU]+\))?\s*(?:(?:[\w./+-]+:\d+)?(?: discriminator \d+)?)?.{0,60}$"
)
_NOT_SYMBOLS = frozenset(["RSP", "Code", "at", "in"])


@dataclass(frozen=True, slots=True)
class Frame:
    """One function on a stack; `sure` is False where the unwinder printed a question mark, or where a symbolizer put it in.

    A function inlined into another is no place of its own: the labelled sets name the one that was called.
    """

    name: str
    sure: bool = True


def clean_name(name: str) -> str:
    """Strip what a compiler appends to a function's name, such as `.constprop.30` or `.cold`."""
    name = _SUFFIX.sub("", name) or name
    return demangle(name) if name.startswith("_R") else name


def parse_frames(text: str) -> list[Frame]:
    """Read the frame, or on 32-bit ARM the two frames, that a line of a stack trace holds; empty when it holds none."""
    text = _MARK.sub("", text)
    if " from " in text and (arm := _ARM.match(text)):
        return [Frame(clean_name(arm["callee"])), Frame(clean_name(arm["caller"]))]
    if "+0x" in text:
        found = _FRAME.match(text)
        if found and found["name"] not in _NOT_SYMBOLS and _TAIL.match(found["rest"]):
            return [
                Frame(
                    clean_name(found["name"]), sure=not found["doubt"] and "(unreliable)" not in found["rest"]
                )
            ]
    elif "[inline]" in text and (found := _INLINE.match(text)):
        return [Frame(clean_name(found["name"]), sure=False)]
    return []


def parse_pointer(text: str) -> str | None:
    """The function an instruction-pointer line names; an empty string for one in user space; None for any other line."""
    if _USER_POINTER.match(text):
        return ""
    for pattern in _POINTERS:
        if found := pattern.match(text):
            return clean_name(found["name"])
    return None
