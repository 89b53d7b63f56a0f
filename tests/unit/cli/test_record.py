# SPDX-License-Identifier: Apache-2.0
"""Recording from the command line: the command is not disturbed, its status is returned, and no end loses what was sealed."""

import fcntl
import json
import os
import pty
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

OBSERVER = [sys.executable, "-m", "observer"]


def observer(*args: str, **options: object) -> "subprocess.CompletedProcess[str]":
    defaults: dict[str, object] = {"capture_output": True, "text": True, "timeout": 120, "check": False}
    return subprocess.run([*OBSERVER, *args], **{**defaults, **options})  # type: ignore[call-overload,no-any-return]


def show_json(*args: str) -> list[dict[str, object]]:
    done = observer("show", *args, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def started(*args: str, terminal: int | None = None) -> "subprocess.Popen[str]":
    """Start a recording whose command says when it is ready; with a terminal, in the foreground of that."""
    child = subprocess.Popen(
        [*OBSERVER, "record", *args],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=None if terminal is None else lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 77", 77), ("kill -9 $$", 137), ("kill -USR1 $$", 138)]
)
def test_the_commands_own_status_is_returned(script: str, status: int) -> None:
    assert observer("record", "--", "sh", "-c", script).returncode == status


def test_streams_belong_to_the_command() -> None:
    done = observer("record", "--", "sh", "-c", "cat; echo out; echo err >&2", input="from stdin\n")
    assert done.stdout == "from stdin\nout\n"
    command, talk = done.stderr.splitlines()
    assert command == "err"
    assert talk.startswith("observer: recorded ")
    assert observer("record", "--quiet", "--", "true").stderr == ""


def test_arguments_after_the_dashes_are_the_commands_own() -> None:
    done = observer("record", "-q", "--", "printf", "%s|", "--", "-o", "--json", "-vv", "", "a b")
    assert done.stdout == "--|-o|--json|-vv||a b|"
    (start,) = [line for line in show_json("last") if line["message_type"] == "recording"]
    assert start["command"] == ["printf", "%s|", "--", "-o", "--json", "-vv", "", "a b"]


def test_a_command_line_that_is_not_utf8_arrives_as_it_is(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path / "b") + b"\xff\xfe"
    done = subprocess.run(
        [*OBSERVER, "record", "-q", "--", "sh", "-c", 'printf "%s" "$0" | od -An -tx1', name],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-2:] == [b"ff", b"fe"]
    assert observer("show", "last").returncode == 0


def test_a_recording_elsewhere_is_listed_and_replaced_only_by_force(tmp_path: Path) -> None:
    place = tmp_path / "mine.rec"
    assert observer("record", "-q", "-o", str(place), "--", "true").returncode == 0
    first = show_json()[0]["trace_id"]
    assert show_json()[0]["path"] == str(place)
    assert observer("record", "-q", "-o", str(place), "--", "false").returncode == 2
    assert show_json(str(place))[0]["trace_id"] == first
    assert observer("record", "-q", "--force", "-o", str(place), "--", "no-such-program").returncode == 127
    assert show_json(str(place))[0]["trace_id"] == first
    assert observer("record", "-q", "--force", "-o", str(place), "--", "false").returncode == 1
    assert show_json(str(place))[0]["trace_id"] != first
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    assert observer("verify", str(place)).returncode == 0


def test_only_what_was_asked_for_is_recorded() -> None:
    assert (
        observer("record", "-q", "--only", "openat,process", "--", "sh", "-c", "cat /etc/hostname").returncode
        == 0
    )
    names = {str(line["syscall"]) for line in show_json("last", "--calls") if line["message_type"] == "call"}
    assert {"openat", "execve"} <= names
    assert not names & {"read", "write", "mmap", "brk"}


def test_the_log_key_signs_and_is_withheld_from_the_command() -> None:
    key = {"WSLMON_LOG_HMAC_KEY": "ab" * 32}
    done = observer("record", "-q", "--", "env", env={**os.environ, **key})
    assert "WSLMON" not in done.stdout
    assert "OBSERVER_HOME=" in done.stdout
    assert "holds on every line" in observer("verify", "last", env={**os.environ, **key}).stdout
    assert "not checked" in observer("verify", "last").stdout
    other = observer("verify", "last", env={**os.environ, "WSLMON_LOG_HMAC_KEY": "cd" * 32})
    assert (other.returncode, "OBS402" in other.stderr) == (14, True)
    for bad in ("", "zz", "ab"):
        refused = observer("record", "--", "true", env={**os.environ, "WSLMON_LOG_HMAC_KEY": bad})
        assert (refused.returncode, "OBS101" in refused.stderr) == (2, True)


@pytest.fixture
def keyboard() -> Iterator[tuple[int, int]]:
    """Return both ends of a terminal: where keys are pressed, and what a program has as its terminal."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_an_interrupt_goes_to_the_command_which_decides(keyboard: tuple[int, int]) -> None:
    script = 'trap "echo caught; exit 7" INT; echo ready; while :; do sleep 0.05; done'
    child = started("--", "sh", "-c", script, terminal=keyboard[1])
    os.write(keyboard[0], b"\x03")  # a terminal's own signal: one that a process sends would be passed on too
    out, _ = child.communicate(timeout=60)
    assert (out, child.returncode) == ("caught\n", 7)
    assert observer("verify", "last").returncode == 0


def test_an_interrupt_that_kills_the_command_leaves_a_whole_recording(keyboard: tuple[int, int]) -> None:
    child = started("--", "sh", "-c", "echo ready; sleep 60", terminal=keyboard[1])
    # A shell's child that has not yet executed anything loses an interrupt to the shell's own handler.
    time.sleep(0.5)
    os.write(keyboard[0], b"\x03")
    child.communicate(timeout=60)
    assert child.returncode == 130
    assert "closed by its writer" in observer("verify", "last").stdout


def test_a_killed_recorder_leaves_what_was_sealed() -> None:
    child = started(
        "--", "sh", "-c", "echo ready; i=0; while [ $i -lt 200 ]; do i=$((i+1)); /bin/true; done; sleep 8"
    )
    time.sleep(1.5)
    child.kill()
    child.communicate(timeout=60)
    proof = observer("verify", "last")
    assert proof.returncode == 0, proof.stderr
    assert "never closed" in proof.stdout
    calls = [line for line in show_json("last", "--calls") if line["message_type"] == "call"]
    assert [call["record"] for call in calls] == sorted({call["record"] for call in calls})  # type: ignore[type-var]
    assert len(calls) > 1000
    assert "the recording was never closed" in observer("summary", "last").stdout


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_said_and_costs_nothing_sealed(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], check=True)
    try:
        script = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); : < /etc/hostname; done"
        done = observer("record", "-o", str(small / "rec"), "--", "sh", "-c", script)
        assert done.returncode == 13
        assert "error[OBS301]" in done.stderr
        assert "Traceback" not in done.stderr
        proof = observer("verify", str(small / "rec"), "--json")
        assert proof.returncode == 0, proof.stderr
        assert json.loads(proof.stdout)["records"] > 1000
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.fixture
def powerless() -> list[str]:
    """Return what to put before a command so that it runs without any capability."""
    if os.getuid() != 0:
        return []
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("setpriv cannot drop capabilities here")
    return prefix


def test_works_without_privilege(powerless: list[str], tmp_path: Path) -> None:
    key = tmp_path / ".ssh" / "id_rsa"
    key.parent.mkdir()
    key.touch(mode=0)
    run = {"capture_output": True, "text": True, "timeout": 60, "check": False}
    done = subprocess.run([*powerless, *OBSERVER, "record", "--", "cat", str(key)], **run)  # type: ignore[call-overload]
    assert done.returncode == 1
    assert "observer: recorded" in done.stderr
    summary = subprocess.run([*powerless, *OBSERVER, "summary", "last"], **run)  # type: ignore[call-overload]
    assert f"was refused: {key}" in summary.stdout
    assert "1 denied" in summary.stdout
    denied = observer("show", "last", "--denied")
    assert f'"{key}"' in denied.stdout
    assert "EACCES" in denied.stdout


@pytest.mark.parametrize("verb", ["show", "summary", "verify"])
def test_what_may_not_be_read_is_said(powerless: list[str], tmp_path: Path, verb: str) -> None:
    place = tmp_path / "secret.rec"
    observer("record", "-q", "-o", str(place), "--", "true")
    (place / "sealed.log").chmod(0)
    done = subprocess.run(
        [*powerless, *OBSERVER, verb, str(place)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (12, False), done.stderr
    assert "ermission denied" in done.stderr


def test_where_nothing_may_be_written_is_said(powerless: list[str], tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    words = [*powerless, *OBSERVER, "record", "-o", str(tmp_path / "shut" / "rec"), "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (12, False), done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    observer(
        "record", "-q", "--", "sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); : < /etc/hostname; done"
    )
    for tail in ("--calls", "--calls --json"):
        done = subprocess.run(
            ["bash", "-c", f"{' '.join(OBSERVER)} show last {tail} | head -n 1; echo ${{PIPESTATUS[0]}}"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] in ("141", "0")
        assert done.stderr == ""


@pytest.mark.parametrize(("variable", "coloured"), [("NO_COLOR", False), ("UNRELATED", True)])
def test_colour_is_for_terminals_that_want_it(variable: str, coloured: bool) -> None:
    observer("record", "-q", "--", "cat", "/does/not/exist")
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", variable: "1"}
    subprocess.run(
        [*OBSERVER, "show", "last", "--failed"], stdout=follower, env=environment, check=True, timeout=60
    )
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 65536):
            shown += piece
    except OSError:  # EIO: the other end was closed and everything was read
        pass
    os.close(leader)
    assert b"/does/not/exist" in shown
    assert (b"\x1b[" in shown) == coloured


def test_the_same_program_has_the_same_dna() -> None:
    found = set()
    for _ in range(2):
        observer("record", "-q", "--", "cat", "/etc/hostname")
        found.add(json.loads(observer("summary", "last", "--json").stdout)["dna"]["rolling"])
    observer("record", "-q", "--", "cat", "/etc/hosts")
    other = json.loads(observer("summary", "last", "--json").stdout)["dna"]["rolling"]
    assert len(found) == 1
    assert other not in found


@pytest.mark.parametrize("verb", ["record", "show", "summary", "verify", "doctor", "completion"])
def test_help_teaches_with_examples(verb: str) -> None:
    done = observer(verb, "--help")
    assert done.returncode == 0
    assert f"observer {verb}" in done.stdout.split("Examples:")[1]
