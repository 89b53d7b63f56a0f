# SPDX-License-Identifier: Apache-2.0
"""What the tables of a module hold, told by the numbers of its functions, and put back into another instance of it.

A reference is opaque to WebAssembly and to the engine's Python API; that two are of one function shows only in that the engine
hands out the same pointer. So every function of the module is exported (`binary.expose`) and looked up by its pointer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from observer.errors import FormatError
from observer.model.snapshot import StateComponent
from observer.plugins.sandbox import wasmtime

__all__ = ["TableEntries"]

_OPAQUE: Final = -1  # a reference that names no function of the module: a host's object


def _pointer(reference: Any) -> int | None:
    """Return what is the same for two references of one function, or None where it is no reference of a function."""
    function = getattr(reference, "_func", None)
    return None if function is None else int(getattr(function, "__private") or 0)


class TableEntries:
    """Reads and writes tables of one instance."""

    def __init__(self, store: Any, functions: Sequence[Any]) -> None:
        """Use the functions of the instance, in order of index."""
        self._store, self._functions = store, functions
        self._numbers = {_pointer(function): number for number, function in enumerate(functions)}

    def capture(self, table: Any) -> tuple[bytes, dict[str, str]]:
        """Return a table's content as JSON and facts about it.

        Returns:
            `size`, and `entries`: runs `[index of the first, [function numbers]]` of the entries that are not null; -1 stands
            for a reference that names no function of the module, such as an object of the host, and cannot be put back.
        """
        size = int(table.size(self._store))
        held = [(index, self._number(table.get(self._store, index))) for index in range(size)]
        entries = []
        for filled, run in groupby(held, key=lambda pair: pair[1] is not None):
            if filled:
                pairs = list(run)
                entries.append([pairs[0][0], [number for _, number in pairs]])
        data = json.dumps({"size": size, "entries": entries}, separators=(",", ":")).encode()
        return data, {"type": str(table.type(self._store).element)}

    def restore(self, table: Any, component: StateComponent) -> None:
        """Give a table the captured content, whatever it held.

        Raises:
            FormatError: The component is not one that `capture` made for a table of this module. [OBS500]
        """
        try:
            content = json.loads(component.data)
            size = int(content["size"])
            missing = size - int(table.size(self._store))
            if missing > 0:
                table.grow(self._store, missing, None)
            held: list[int | None] = [None] * int(table.size(self._store))
            for first, numbers in content["entries"]:
                for offset, number in enumerate(numbers):
                    held[first + offset] = number
            for index, number in enumerate(held):
                self._put(table, index, number)
        except (KeyError, TypeError, ValueError, IndexError, wasmtime.WasmtimeError) as error:
            raise FormatError(
                f"the snapshot's {component.name} does not fit this plugin: {error}",
                hint="restore it with the recording that it was taken from",
            ) from error

    def _number(self, reference: Any) -> int | None:
        pointer = _pointer(reference)
        if pointer is not None:
            return self._numbers.get(pointer, _OPAQUE)
        value = reference.value if isinstance(reference, wasmtime.Val) else reference
        return None if value is None else _OPAQUE

    def _put(self, table: Any, index: int, number: int | None) -> None:
        if self._number(table.get(self._store, index)) == number or number == _OPAQUE:
            return
        table.set(self._store, index, None if number is None else self._functions[number])
