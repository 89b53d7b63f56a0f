# SPDX-License-Identifier: Apache-2.0
"""Readable names for Rust functions on kernel stacks (symbol mangling v0, RFC 2603).

Only paths are read: crates, modules, types, impl blocks, closures. Generic arguments, constants and hashes are left
out, for a title names the function and not the instance. A symbol that does not fit is returned as it is.
"""

from __future__ import annotations

__all__ = ["demangle"]

_LIMIT = 400
_BASIC = dict(
    pair.split("=")
    for pair in [
        "a=i8",
        "b=bool",
        "c=char",
        "d=f64",
        "e=str",
        "f=f32",
        "h=u8",
        "i=isize",
        "j=usize",
        "l=i32",
        "m=u32",
        "n=i128",
        "o=u128",
        "s=i16",
        "t=u16",
        "u=()",
        "v=...",
        "x=i64",
        "y=u64",
        "z=!",
        "p=_",
    ]
)


class _Malformed(Exception):
    """The symbol is not of this mangling."""


def demangle(symbol: str) -> str:
    """Turn `_RNvMs3_..._7Process10update_ref` into `<crate::Process>::update_ref`; anything else comes back unchanged."""
    if not symbol.startswith("_R") or len(symbol) > _LIMIT:
        return symbol
    try:
        return _Reader(symbol[2:]).path()
    except (_Malformed, IndexError, ValueError, RecursionError):
        return symbol


class _Reader:
    """Reads one symbol from left to right; back references start a reader further left."""

    def __init__(self, text: str, at: int = 0, depth: int = 0) -> None:
        if depth > 40:
            raise _Malformed
        self._text, self._at, self._depth = text, at, depth

    def path(self) -> str:
        """One path, by the letter it begins with."""
        tag = self._take()
        if tag == "C":
            return self._identifier()
        if tag == "N":
            return self._nested()
        if tag in "MX":
            self._implementation()
            inner = self.type()
            return f"<{inner} as {self.path()}>" if tag == "X" else f"<{inner}>"
        if tag == "Y":
            inner = self.type()
            return f"<{inner} as {self.path()}>"
        if tag == "I":
            inner = self.path()
            while self._text[self._at] != "E":
                self._argument()
            self._at += 1
            return inner
        if tag == "B":
            return self._reference().path()
        raise _Malformed

    def type(self) -> str:
        """One type; what is no path is shown in short."""
        tag = self._text[self._at]
        if tag in _BASIC:
            self._at += 1
            return _BASIC[tag]
        if tag in "RQPO":
            self._at += 1
            if self._text[self._at] == "L":
                self._lifetime()
            return {"R": "&", "Q": "&mut ", "P": "*const ", "O": "*mut "}[tag] + self.type()
        if tag == "S":
            self._at += 1
            return f"[{self.type()}]"
        if tag == "T":
            self._at += 1
            parts = []
            while self._text[self._at] != "E":
                parts.append(self.type())
            self._at += 1
            return f"({', '.join(parts)})"
        if tag == "B":
            self._at += 1
            return self._reference().type()
        return self.path()

    def _nested(self) -> str:
        kind = self._take()
        parent, name = self.path(), self._identifier()
        if kind.isupper():
            return f"{parent}::{{{'closure' if kind == 'C' else name or kind}}}"
        return f"{parent}::{name}"

    def _implementation(self) -> None:
        """The path of the crate and module an impl stands in; of no interest to a title."""
        if self._text[self._at] == "s":
            self._at += 1
            self._number()
        self.path()

    def _argument(self) -> None:
        tag = self._text[self._at]
        if tag == "L":
            self._lifetime()
        elif tag == "K":
            raise _Malformed
        else:
            self.type()

    def _lifetime(self) -> None:
        self._at += 1
        self._number()

    def _reference(self) -> _Reader:
        begin = self._at - 1
        target = self._number()
        if target >= begin:
            raise _Malformed
        return _Reader(self._text, target, self._depth + 1)

    def _number(self) -> int:
        """A base-62 number that ends in an underscore; the empty one is 0."""
        end = self._text.index("_", self._at)
        digits, self._at = self._text[self._at : end], end + 1
        value = 0
        for digit in digits:
            value = value * 62 + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".index(digit)
        return value + 1 if digits else 0

    def _identifier(self) -> str:
        if self._text[self._at] == "s":
            self._at += 1
            self._number()
        begin = self._at
        while self._text[self._at].isdigit():
            self._at += 1
        size = int(self._text[begin : self._at])
        if self._text[self._at] == "_":
            self._at += 1
        name = self._text[self._at : self._at + size]
        if len(name) != size:
            raise _Malformed
        self._at += size
        return name

    def _take(self) -> str:
        self._at += 1
        return self._text[self._at - 1]
