# SPDX-License-Identifier: Apache-2.0
"""Values are read back out of decoded arguments as they were meant."""

import pytest

from observer.trace.text import parse_address, parse_number, unquote


@pytest.mark.parametrize(
    ("shown", "meant"),
    [
        ('"/etc/passwd"', "/etc/passwd"),
        ('"a\\nb\\t\\"c\\\\"', 'a\nb\t"c\\'),
        ('"\\303\\274\\0\\33x"', "\u00c3\u00bc\x00\x1bx"),
        ('"\\x41\\x7f"', "A\x7f"),
        ('"cut off"...', "cut off"),
        ("0x7ffd", "0x7ffd"),
        ('""', ""),
    ],
)
def test_unquote(shown: str, meant: str) -> None:
    assert unquote(shown) == meant


@pytest.mark.parametrize(
    ("shown", "number"),
    [
        ("0", 0),
        ("-1", -1),
        ("0755", 0o755),
        ("0x10", 16),
        ("42", 42),
        ("AT_FDCWD", None),
        ("", None),
        ("08", None),
    ],
)
def test_parse_number(shown: str, number: int | None) -> None:
    assert parse_number(shown) == number


@pytest.mark.parametrize(
    ("shown", "text", "scope"),
    [
        ('{sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}', "192.0.2.7:443", "external"),
        ('{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.53")}', "127.0.0.53:80", "loopback"),
        ('{sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")}', "0.0.0.0:0", "any"),
        (
            ('{sa_family=AF_INET6, sin6_port=htons(22), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "2001:db8::1", '
            "&sin6_addr), sin6_scope_id=0}"),
            "[2001:db8::1]:22",
            "external",
        ),
        (
            ('{sa_family=AF_INET6, sin6_port=htons(22), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, '
            '"::ffff:127.0.0.1", &sin6_addr), sin6_scope_id=0}'),
            "[::ffff:7f00:1]:22",
            "loopback",
        ),
        ('{sa_family=AF_UNIX, sun_path="/run/docker.sock"}', "/run/docker.sock", "unix"),
        ('{sa_family=AF_UNIX, sun_path=@"abstract"}', "@abstract", "unix"),
        ("example.org:443", "example.org:443", "external"),
        ("https://[2001:db8::1]:8443/x", "[2001:db8::1]:8443", "external"),
        ("localhost:80", "localhost:80", "loopback"),
    ],
)  # fmt: skip
def test_parse_address(shown: str, text: str, scope: str) -> None:
    address = parse_address(shown)
    assert address is not None
    assert (address.text.replace("::ffff:127.0.0.1", "::ffff:7f00:1"), address.scope) == (text, scope)


@pytest.mark.parametrize("shown", ["3", "NULL", "path/to/file", "{sa_family=AF_NETLINK, nl_pid=0}", "r", ""])
def test_what_is_no_address(shown: str) -> None:
    assert parse_address(shown) is None
