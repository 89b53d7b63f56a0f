# SPDX-License-Identifier: Apache-2.0
"""Reads an agent's configuration: TOML with units, checked against a table of settings, refused with line and reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from observer.errors import NotFoundError, UsageError

__all__ = ["LINUX", "Section", "Settings", "default_text", "load_settings"]

LINUX: Final = "observer.agents.linux"
_UNITS: Final[dict[str, dict[str, float]]] = {
    "span": {"ms": 0.001, "s": 1, "m": 60, "h": 3600},
    "size": {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4},
    "percent": {"%": 1},
    "rate": {"/s": 1},
}
_WANTED: Final = {
    "span": 'a length of time with unit (ms, s, m, h), such as "5s"',
    "size": 'a size with unit (B, KiB, MiB, GiB), such as "8MiB"',
    "percent": 'a share such as "90%"',
    "rate": 'events per second such as "200/s"',
    "count": "a whole number",
    "flag": "true or false",
    "texts": "a list of strings",
}
_QUANTITY: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s?([A-Za-z/%]+)")
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Section:
    """The settings of one part of the agent; spans in seconds, sizes in bytes, percent as 0 to 100."""

    name: str
    values: Mapping[str, Any]

    def number(self, key: str) -> float:
        """Return a span, percentage or rate."""
        return float(self.values[key])

    def count(self, key: str) -> int:
        """Return a count or a size."""
        return int(self.values[key])

    def flag(self, key: str) -> bool:
        """Return a switch."""
        return bool(self.values[key])

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(self.values[key])


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration.

    Attributes:
        sections: By name.
        origin: The file, or `defaults`.
        digest_of: The file's bytes, empty for the defaults.
    """

    sections: Mapping[str, Section]
    origin: str = "defaults"
    digest_of: bytes = b""

    def __getitem__(self, name: str) -> Section:
        return self.sections[name]


def load_settings(path: Path | None = None, *, table_of: str = LINUX) -> Settings:
    """Return the defaults, changed by a file.

    Args:
        path: TOML file; None means the defaults alone.
        table_of: Package whose `settings.toml` says what may be set.

    Raises:
        NotFoundError: No such file. [OBS700]
        UsageError: It is no TOML, or a key, kind, unit or bound is wrong: says line and reason. [OBS100]
    """
    table = _table(table_of)
    if path is None:
        return Settings(_filled(table, {}))
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"no configuration {path}", hint="leave --config out for the defaults") from None
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path}: longer than 1 MiB; this is no configuration")
    return Settings(_filled(table, _checked(path, data, table)), str(path), data)


def _table(package: str) -> dict[str, dict[str, Any]]:
    text = resources.files(package).joinpath("settings.toml").read_text("utf-8")
    return tomllib.loads(text)


def _rows(section: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((key, row) for key, row in section.items() if isinstance(row, dict))


def _filled(table: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]) -> dict[str, Section]:
    return {
        name: Section(
            name,
            {key: given.get(name, {}).get(key, _value(row, row["default"])) for key, row in _rows(section)},
        )
        for name, section in table.items()
    }


def _checked(path: Path, data: bytes, table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    try:
        text = data.decode("utf-8")
        given = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}:{_line_of_error(str(error), text)}: {error}") from None
    values: dict[str, dict[str, Any]] = {}
    for name, section in given.items():
        if name not in table or not isinstance(section, dict):
            raise _refused(path, text, (name, None), f"no section {name!r}; one of {', '.join(table)}")
        values[name] = dict(_checked_section(path, text, name, section, known=dict(_rows(table[name]))))
    _cross_check(path, text, _filled(table, values))
    return values


def _checked_section(
    path: Path, text: str, name: str, section: Mapping[str, Any], *, known: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for key, given in section.items():
        if key not in known:
            raise _refused(
                path, text, (name, key), f"no setting {key!r} in [{name}]; one of {', '.join(known)}"
            )
        row = known[key]
        value = _value(row, given)
        if value is None:
            raise _refused(path, text, (name, key), f"{key} wants {_WANTED[row['kind']]}, not {given!r}")
        if "least" in row and not _value(row, row["least"]) <= value <= _value(row, row["most"]):
            raise _refused(
                path, text, (name, key), f"{key} = {given!r} is not between {row['least']} and {row['most']}"
            )
        yield key, value


def _cross_check(path: Path, text: str, sections: Mapping[str, Section]) -> None:
    """A warning above its critical threshold would never be told."""
    for name, section in sections.items():
        for key in section.values:
            high = (
                f"{key.removesuffix('_warning')}_critical" if key.endswith("_warning") else f"{key}_critical"
            )
            if high in section.values and section.number(key) > section.number(high):
                low_text = f"{section.number(key):g}%"
                raise _refused(
                    path, text, (name, key), f"{key} ({low_text}) is above {high} ({section.number(high):g}%)"
                )


def _value(row: Mapping[str, Any], given: Any) -> Any:
    """Return a given value in its base unit, or None when it is of another kind."""
    kind = row["kind"]
    if kind == "flag":
        return given if isinstance(given, bool) else None
    if kind == "count":
        return given if isinstance(given, int) and not isinstance(given, bool) else None
    if kind == "texts":
        good = isinstance(given, list) and all(isinstance(one, str) and one for one in given)
        return given if good else None
    match = _QUANTITY.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None or match[2] not in _UNITS[kind]:
        return None
    return float(match[1]) * _UNITS[kind][match[2]]


def _line_of_error(message: str, text: str) -> int:
    match = re.search(r"at line (\d+)", message)
    return int(match[1]) if match else text.count("\n") + 1


def _refused(path: Path, text: str, where: tuple[str, str | None], reason: str) -> UsageError:
    line = _line_of(text, *where)
    hint = "'observer agent check-config --defaults' prints every setting with its bounds"
    return UsageError(f"{path}:{line}: {reason}", hint=hint, where={"path": str(path), "line": line})


def _line_of(text: str, section: str, key: str | None) -> int:
    """Return the line on which a key of a section is set, else that of the section, else 1."""
    current, found = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*[\"']?([^\]\"']+?)[\"']?\s*\]", line)
        if header:
            current = header[1]
            if current == section:
                found = number
        pattern = rf"\s*(?:{re.escape(section)}\s*\.\s*)?[\"']?{re.escape(key or section)}[\"']?\s*[=.]"
        if (current == section or not current) and re.match(pattern, line):
            return number
    return found


def default_text(table_of: str = LINUX) -> str:
    """Return a configuration that holds every setting at its default, each explained."""
    lines = ["# Configuration of the Linux agent. Every setting is shown at its default."]
    for name, section in _table(table_of).items():
        lines += ["", f"# {section['text']}", f"[{name}]"]
        for key, row in _rows(section):
            bounds = f" ({row['least']} to {row['most']})" if "least" in row else ""
            lines += [f"# {row['text']}{bounds}", f"{key} = {_literal(row['default'])}"]
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
