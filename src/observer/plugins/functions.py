# SPDX-License-Identifier: Apache-2.0
"""The table of what a plugin can call: the 46 functions of WASI preview 1 and three of the host's own.

The table is `functions.toml`; everything that records, decodes or replays a call is driven by it.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

__all__ = ["ENV", "HostFunction", "Parameter", "WASI", "errno_number", "errnos", "host_functions"]

WASI: Final = "wasi_snapshot_preview1"
ENV: Final = "env"
_WIDE: Final = frozenset({"u64", "i64", "rights"})
_PARAMETER: Final = re.compile(r"(\w+):(\w+)(?:/(\w+))?(?:#(\w+))?(?:>(\w+))?\Z")
_CLASSES: Final = {
    "fd": ("file", "descriptor"),
    "path": ("file",),
    "sock": ("network",),
    "proc": ("process",),
    "clock": ("time",),
    "poll": ("time",),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a host function.

    Attributes:
        name: Its name.
        kind: What it is; the kinds are described at the head of `functions.toml`.
        size: Bytes of one entry, or the name of a size that the host knows; empty when neither applies.
        count: Index of the parameter that counts entries, or None.
        used: Index of the out-parameter that says how much was written, -1 for the result, or None.
    """

    name: str
    kind: str
    size: str
    count: int | None
    used: int | None

    @property
    def width(self) -> int:
        """Bytes it takes on the stack: 4 or 8."""
        return 8 if self.kind in _WIDE else 4

    @property
    def wasm_type(self) -> str:
        """Its type in WebAssembly."""
        return "i64" if self.width == 8 else "i32"


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One function that a plugin may import.

    Attributes:
        module: Name of the import's module.
        name: Name of the import.
        parameters: In order.
        result: `errno`, `i32` or `none`.
    """

    module: str
    name: str
    parameters: tuple[Parameter, ...]
    result: str

    @property
    def key(self) -> tuple[str, str]:
        """Module and name."""
        return self.module, self.name

    @property
    def label(self) -> str:
        """Its name in recordings: plain for WASI, `env.` before the host's own."""
        return self.name if self.module == WASI else f"{self.module}.{self.name}"

    @property
    def argument_bytes(self) -> int:
        """Bytes that its arguments take in a record."""
        return sum(parameter.width for parameter in self.parameters)

    @property
    def classes(self) -> tuple[str, ...]:
        """What it deals with, in the words of `observer show --class`."""
        return _CLASSES.get(self.name.split("_")[0], ("system",))

    def table_row(self) -> dict[str, Any]:
        """Return it as a function of a `call_table` line."""
        params = [{"name": p.name, "kind": p.kind, "width": p.width} for p in self.parameters]
        return {"name": self.label, "params": params, "result": self.result, "classes": list(self.classes)}


def _parameters(text: str) -> tuple[Parameter, ...]:
    parts = [_PARAMETER.match(word) for word in text.split()]
    fields = [part.groups() for part in parts if part is not None]
    names = [field[0] for field in fields]
    return tuple(
        Parameter(
            name,
            kind,
            size or "",
            None if count is None else names.index(count),
            None if used is None else -1 if used == "result" else names.index(used),
        )
        for name, kind, size, count, used in fields
    )


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("functions.toml").read_text(encoding="utf-8"))


@functools.cache
def host_functions() -> dict[tuple[str, str], HostFunction]:
    """Return every function a plugin may import, by module and name."""
    table = _table()
    return {
        (module, name): HostFunction(module, name, _parameters(text), table["results"].get(name, "errno"))
        for module in (WASI, ENV)
        for name, text in table[module].items()
    }


def errnos() -> tuple[str, ...]:
    """Return the names of WASI errors, by number."""
    return tuple(_table()["errno"]["names"])


def errno_number(name: str) -> int:
    """Return the number of a WASI error such as `ENOTCAPABLE`."""
    return errnos().index(name)
