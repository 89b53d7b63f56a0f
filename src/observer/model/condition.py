# SPDX-License-Identifier: Apache-2.0
"""The small language of breakpoint conditions: parsed here, never evaluated as Python.

    args[0].contains('passwd')
    syscall == 'fd_write' and result != 0
    not (args[1].startswith('/tmp') or index < 100)

Values are text in quotes, whole numbers, `true`, `false`, `none`, `args[N]` and the names that the caller hands in, dots included
(`identity.user_id`). A name or argument that is not there is `none`. Comparing values of different kinds is false, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from observer.errors import UsageError

__all__ = ["Condition"]

Value = str | int | bool | None
Facts = Mapping[str, Value]
Check = Callable[[Facts, Sequence[str]], Value]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<number>-?\d+)|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign>==|!=|<=|>=|[<>()\[\],]|\.[a-z_]+))"
)
_CONSTANTS: Final[Mapping[str, Value]] = {"true": True, "false": False, "none": None}
_METHODS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_MOST_LETTERS: Final = 4096
_MOST_DEPTH: Final = 32


def _less(left: Value, right: Value) -> bool:
    both_numbers = isinstance(left, int) and isinstance(right, int)
    if both_numbers or (isinstance(left, str) and isinstance(right, str)):
        return left < right  # type: ignore[operator]
    return False


_COMPARISONS: Final[Mapping[str, Callable[[Value, Value], bool]]] = {
    "==": lambda left, right: type(left) is type(right) and left == right,
    "!=": lambda left, right: type(left) is not type(right) or left != right,
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "<=": lambda left, right: _less(left, right) or (type(left) is type(right) and left == right),
    ">=": lambda left, right: _less(right, left) or (type(left) is type(right) and left == right),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition.

    Attributes:
        source: Its text.
    """

    source: str
    _check: Check

    @classmethod
    def parse(cls, source: str) -> Condition:
        """Parse a condition.

        Raises:
            UsageError: It does not follow the language; says where. [OBS100]
        """
        return cls(source, _Parser(source).whole())

    def holds(self, facts: Facts, args: Sequence[str]) -> bool:
        """Whether it holds for a call.

        Args:
            facts: Values by name.
            args: The call's arguments as text.
        """
        return self._check(facts, args) is True


class _Parser:
    def __init__(self, source: str) -> None:
        if len(source) > _MOST_LETTERS:
            raise UsageError(f"a condition has at most {_MOST_LETTERS} letters")
        self._source, self._depth = source, 0
        self._tokens: list[tuple[str, str, int]] = []
        at = 0
        while source[at:].strip():
            match = _TOKEN.match(source, at)
            if match is None:
                raise self._wrong(at, "nothing of the language begins here")
            self._tokens.append(
                (match.lastgroup or "", match[match.lastgroup or 0], match.start(match.lastgroup or 0))
            )
            at = match.end()
        self._at = 0

    def _wrong(self, at: int, what: str) -> UsageError:
        hint = "such as: args[0].contains('passwd') and result == 0"
        return UsageError(f"cannot read the condition {self._source!r} at letter {at + 1}: {what}", hint=hint)

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", len(self._source))

    def _take(self, *wanted: str) -> bool:
        if self._peek()[1] in wanted and self._peek()[0] != "text":
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise self._wrong(self._peek()[2], f"{sign!r} should come here")

    def whole(self) -> Check:
        check = self._either()
        if self._peek()[0] != "end":
            raise self._wrong(self._peek()[2], "this is left over")
        return check

    def _either(self) -> Check:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._wrong(self._peek()[2], f"nested deeper than {_MOST_DEPTH}")
        checks = [self._both()]
        while self._take("or"):
            checks.append(self._both())
        self._depth -= 1
        return (
            checks[0] if len(checks) == 1 else lambda facts, args: any(c(facts, args) is True for c in checks)
        )

    def _both(self) -> Check:
        checks = [self._one()]
        while self._take("and"):
            checks.append(self._one())
        return (
            checks[0] if len(checks) == 1 else lambda facts, args: all(c(facts, args) is True for c in checks)
        )

    def _one(self) -> Check:
        negations = 0
        while self._take("not"):
            negations += 1
        check = self._comparison()
        return (lambda facts, args: check(facts, args) is not True) if negations % 2 else check

    def _comparison(self) -> Check:
        left = self._value()
        sign = self._peek()[1]
        if self._peek()[0] == "sign" and sign in _COMPARISONS:
            self._at += 1
            right, compare = self._value(), _COMPARISONS[sign]
            return lambda facts, args: compare(left(facts, args), right(facts, args))
        return left

    def _value(self) -> Check:
        if self._take("("):
            check = self._either()
            self._need(")")
        else:
            check = self._plain()
        while self._peek()[1].startswith(".") and self._peek()[0] == "sign":
            check = self._method(check, self._tokens[self._at][1][1:])
        return check

    def _plain(self) -> Check:
        kind, text, at = self._peek()
        self._at += 1
        if kind == "text":
            value: Value = re.sub(r"\\(.)", r"\1", text[1:-1])
            return lambda _facts, _args: value
        if kind == "number":
            number = int(text)
            return lambda _facts, _args: number
        if kind != "word":
            raise self._wrong(at, "a value should come here")
        if text in _CONSTANTS:
            constant = _CONSTANTS[text]
            return lambda _facts, _args: constant
        name, _, method = text.rpartition(".")
        if method in _METHODS and name:
            self._at -= 1
            self._tokens[self._at] = ("sign", f".{method}", at + len(name))
            return lambda facts, _args: facts.get(name)
        return self._argument(at) if text == "args" else lambda facts, _args: facts.get(text)

    def _argument(self, at: int) -> Check:
        self._need("[")
        kind, text, _ = self._peek()
        if kind != "number" or not text.isdigit():
            raise self._wrong(at, "args takes a number from 0 on")
        self._at += 1
        self._need("]")
        index = int(text)
        return lambda _facts, args: args[index] if index < len(args) else None

    def _method(self, owner: Check, name: str) -> Check:
        if name not in _METHODS:
            raise self._wrong(self._peek()[2], f"there is no {name}; there is {', '.join(_METHODS)}")
        self._at += 1
        self._need("(")
        part, method = self._value(), _METHODS[name]
        self._need(")")

        def check(facts: Facts, args: Sequence[str]) -> Value:
            text, wanted = owner(facts, args), part(facts, args)
            return isinstance(text, str) and isinstance(wanted, str) and method(text, wanted)

        return check
