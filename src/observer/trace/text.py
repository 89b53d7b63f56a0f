# SPDX-License-Identifier: Apache-2.0
"""Reads values back out of decoded arguments: quoted strings, socket addresses, open flags, numbers."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Address", "parse_address", "parse_number", "unquote"]

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "a": "\a", "b": "\b", "e": "\x1b"}
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_INET: Final = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([0-9.]+)"\)')
_INET6: Final = re.compile(r"sin6_port=htons\((\d+)\)")
_INET6_HOST: Final = re.compile(r'inet_pton\(AF_INET6, "([^"]+)"')
_UNIX: Final = re.compile(r'sun_path=(@?)"((?:[^"\\]|\\.)*)"')
_HOST_PORT: Final = re.compile(r"^(?:[a-z0-9+.-]+://)?(\[[0-9a-fA-F:.]+\]|[^\s:/]+):(\d{1,5})\b")


def unquote(text: str) -> str:
    r"""Return the string inside a quoted argument, its C escapes undone; text without quotes is returned as it is."""
    if not text.startswith('"'):
        return text
    body = text[1:].removesuffix("...").removesuffix('"')
    return _ESCAPE.sub(_undo, body) if "\\" in body else body


def _undo(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return _ESCAPES.get(code, code)


def parse_number(text: str) -> int | None:
    """Return the number that an argument shows, in decimal, octal (leading 0) or hexadecimal; None for other text."""
    try:
        return int(text, 8 if re.fullmatch(r"0[0-7]+", text) else 0)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket leads.

    Attributes:
        text: `192.0.2.1:443`, `[2001:db8::1]:443`, a path, `@name` for an abstract socket, or `host:port`.
        scope: `external`, `loopback`, `any` (all addresses of this machine) or `unix`.
        path: The path of a Unix socket, else None.
        port: The port, else None.
    """

    text: str
    scope: str
    path: str | None = None
    port: int | None = None


def parse_address(text: str) -> Address | None:
    """Return the address that a decoded `struct sockaddr`, or an embedder's `host:port`, shows; None for neither."""
    if match := _INET.search(text):
        return _inet(match.group(2), int(match.group(1)))
    port, host = _INET6.search(text), _INET6_HOST.search(text)
    if port and host:
        return _inet(host.group(1), int(port.group(1)))
    if match := _UNIX.search(text):
        path = unquote(f'"{match.group(2)}"')
        return Address(f"{match.group(1)}{path}", "unix", None if match.group(1) else path)
    if match := _HOST_PORT.match(unquote(text)):
        return _inet(match.group(1).strip("[]"), int(match.group(2)))
    return None


def _inet(host: str, port: int) -> Address:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Address(f"{host}:{port}", "loopback" if host == "localhost" else "external", port=port)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    shown = mapped or address
    scope = "loopback" if shown.is_loopback else "any" if shown.is_unspecified else "external"
    text = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    return Address(text, scope, port=port)
