# SPDX-License-Identifier: Apache-2.0
"""Write the golden list of the public surface: every public module's names, and what kind of thing each is.

Reads `__all__` of every module of the package whose name has no part that begins with an underscore. The CLI is left out:
its surface is its grammar.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import observer

TARGET = Path("tests/house/public_surface.txt")
PROGRAMS = ("observer.cli", "observer.tui", "observer.web")


def public_modules() -> list[str]:
    """Return the dotted names of the public modules, sorted; the top package first."""
    found = [module.name for module in pkgutil.walk_packages(observer.__path__, "observer.")]
    return sorted(
        name
        for name in found
        if not any(part.startswith("_") for part in name.split("."))
        and not any(name == program or name.startswith(f"{program}.") for program in PROGRAMS)
    )


def kind(value: object) -> str:
    """Return what a name stands for: class, function, module or constant."""
    if inspect.isclass(value):
        return "class"
    if inspect.isroutine(value):
        return "function"
    return "module" if inspect.ismodule(value) else "constant"


def render() -> str:
    """Return the text of the golden file."""
    lines = []
    for name in public_modules():
        module = importlib.import_module(name)
        lines += [
            f"{name}.{public} {kind(getattr(module, public))}" for public in getattr(module, "__all__", [])
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / TARGET).write_text(render(), encoding="utf-8")
