# SPDX-License-Identifier: Apache-2.0
"""Errors become one line and the documented status; nothing shows a traceback unasked."""

import errno
from collections.abc import Callable

import pytest

from observer.cli import main
from observer.cli.commands import doctor
from observer.errors import ChainBroken, ObserverError


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Callable[..., int]:
    def fail(self: object, args: object) -> int:
        raise error

    monkeypatch.setattr(doctor.Doctor, "run", fail)
    return main.run


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (
            ChainBroken("chain broken at sequence 812"),
            14,
            "error[OBS401]: chain broken at sequence 812\nhint: keep",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            12,
            "error[OBS200]: permission denied: /x\nhint: ",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x"),
            13,
            "error[OBS301]: no space left on device",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
            17,
            "error[OBS700]: no such file",
        ),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x"), 13, "error[OBS300]: is a directory: /x"),
        (ValueError("surprise"), 70, "observer: error[OBS900]: ValueError: surprise\nhint: "),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    text: str,
) -> None:
    assert raising(monkeypatch, error)(["doctor"]) == status
    err = capsys.readouterr().err
    assert text in err
    assert err == "" or err.startswith("observer: error[OBS")
    assert "Traceback" not in err


def test_twice_verbose_shows_the_trace_and_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = raising(monkeypatch, ChainBroken("broken", where={"sequence": 812}))
    assert run(["doctor", "-vv"]) == 14
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "sequence: 812" in err
    assert run(["-v", "doctor"]) == 14
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "sequence: 812" in err


def test_text_in_an_error_is_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ObserverError("bad name \x1b]0;owned\x07 [red]x[/red]"))(["doctor"])
    assert "bad name \\x1b]0;owned\\x07 [red]x[/red]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [[], ["fly"], ["doctor", "--no-such"], ["completion"], ["completion", "cmd.exe"]]
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main.run(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("observer: error[OBS100]: ")
    assert "--help'" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main.run(["completion", shell]) == 0
    assert "observer" in capsys.readouterr().out
