# SPDX-License-Identifier: Apache-2.0
"""Each rule finds what it is for in a real recording, cites records that show it, and keeps still on ordinary work."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer import trace
from observer.errors import FormatError
from observer.trace.rules import load_rules, load_words, parse_rule

# Not the one of the virtual environment: a checkout below /tmp would be a temporary place.
PYTHON = str(Path(sys.executable).resolve())


def risks_of(*argv: str) -> dict[str, trace.RiskFactor]:
    """Record a command here and return its risk factors by rule, each checked to cite records that exist."""
    done = trace.record_command(argv)
    recording = trace.Recording(done.path)
    summary = trace.summarise(recording)
    for risk in summary.risk_factors:
        for record_id in risk.record_ids:
            number = int(record_id[1:])
            found = (
                next(recording.calls(first=number)) if record_id[0] == "s" else next(recording.lines(number))
            )
            assert (found["record"] if isinstance(found, dict) else found.sequence) == number
    return {risk.rule: risk for risk in summary.risk_factors}


def cited(risk: trace.RiskFactor) -> dict[str, object]:
    recording = trace.Recording(trace.TraceStore().find("last"))
    return next(recording.calls(first=int(risk.record_ids[0][1:])))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    return work


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    yield place
    shutil.rmtree(place)


def test_reading_a_private_key(here: Path) -> None:
    (here / ".ssh").mkdir()
    for name in ("id_ed25519", "id_ed25519.pub", "config"):
        (here / ".ssh" / name).write_text("x")
    assert "sensitive-file-read" not in risks_of("cat", ".ssh/id_ed25519.pub", ".ssh/config")
    risk = risks_of("sh", "-c", "cd .ssh && cat id_ed25519 >/dev/null")["sensitive-file-read"]
    assert risk.severity == "high"
    assert str(here / ".ssh" / "id_ed25519") in risk
    call = cited(risk)
    assert call["syscall"] == "openat"
    assert '"id_ed25519"' in str(call["args"])


def test_running_from_a_temporary_place(here: Path, elsewhere: Path) -> None:
    found = risks_of("sh", "-c", f"cp /bin/true {elsewhere}/x && {elsewhere}/x")
    assert f"{elsewhere}/x" in found["exec-from-temporary-place"]
    assert f"{elsewhere}/x" in found["written-then-run"]
    assert cited(found["exec-from-temporary-place"])["syscall"] == "execve"


def test_running_a_script_written_before(here: Path) -> None:
    found = risks_of("sh", "-c", "printf '#!/bin/sh\\nexit 0\\n' > s; chmod +x s; mv s t; ./t")
    assert str(here / "t") in found["written-then-run"]


def test_running_what_is_in_memory_only(here: Path) -> None:
    code = (
        "import os; fd = os.memfd_create('x'); os.write(fd, open('/bin/true', 'rb').read());"
        "os.execve(fd, ['x'], {})"
    )  # fmt: skip
    assert risks_of(PYTHON, "-c", code)["exec-without-file"].severity == "high"


@pytest.mark.parametrize(
    ("rule", "script"),
    [
        ("setuid-bit", "touch f && chmod 4755 f"),
        ("setuid-bit", "touch f && chmod u+s f"),
        ("persistence", "echo evil >> ../.bashrc"),
        ("log-tampering", ": > ../.bash_history"),
        ("log-tampering", "touch ../.bash_history && rm ../.bash_history"),
        ("self-deletion", "cp /bin/rm mine && ./mine mine"),
        ("signals-outside", "kill -WINCH $PPID"),
        ("crashed", "sh -c 'kill -SEGV $$'"),
    ],
)
def test_small_misdeeds(here: Path, rule: str, script: str) -> None:
    assert rule in risks_of("sh", "-c", script)


def test_reading_another_process(here: Path) -> None:
    code = f"import os; open(f'/proc/{os.getpid()}/environ', 'rb').read()"
    assert "process-memory-opened" in risks_of(PYTHON, "-c", code)
    assert "process-memory-opened" not in risks_of(PYTHON, "-c", "open('/proc/self/environ', 'rb').read()")


@pytest.mark.parametrize("direction", ["outward", "inward"])
def test_a_shell_on_a_socket(here: Path, direction: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        code = f"import os, socket; s = socket.create_connection(('127.0.0.1', {port}))\n"
        if direction == "inward":
            code += (
                "l = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(l.getsockname())\n"
                "s = l.accept()[0]; c.shutdown(socket.SHUT_WR)\n"
            )
        code += "[os.dup2(s.fileno(), n) for n in (0, 1, 2)]; os.execv('/bin/sh', ['sh'])"
        found = risks_of(PYTHON, "-c", code)
        thread.join()
    assert found["shell-on-socket"].severity == "critical"
    assert "127.0.0.1" in found["network-loopback"]


def test_a_shell_that_only_starts_a_client_is_no_shell_on_a_socket(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
        found = risks_of("sh", "-c", f'{PYTHON} -c "{code}"; sh -c true')
    assert "shell-on-socket" not in found


def test_offering_a_port_to_others(here: Path) -> None:
    code = "import socket; socket.create_server(('0.0.0.0', 0)).getsockname()"
    assert "0.0.0.0" in risks_of(PYTHON, "-c", code)["network-listen"]
    code = "import socket; socket.create_server(('127.0.0.1', 0))"
    assert "network-listen" not in risks_of(PYTHON, "-c", code)


def test_a_new_user_namespace(here: Path) -> None:
    if subprocess.run(["unshare", "-U", "true"], check=False, capture_output=True).returncode:
        pytest.skip("THIS KERNEL PERMITS NO USER NAMESPACES: see 'observer doctor user_namespaces'")
    assert "namespaces" in risks_of("unshare", "-U", "true")


def test_refused_by_the_kernel(here: Path) -> None:
    drop = "import os; os.setuid(65534); " if os.getuid() == 0 else ""
    script = f"{drop}open('/etc/shadow')"
    found = risks_of(PYTHON, "-c", f"try:\n {script}\nexcept OSError: pass")
    assert "/etc/shadow" in found["sensitive-file-refused"]
    assert "EACCES" in found["permission-refused"]
    assert ("user-changed" in found) == (os.getuid() == 0)


ORDINARY = {
    "listing": "ls -la / /etc >/dev/null; find . -name x; du -s . >/dev/null",
    "pipeline": "seq 1000 | sort -n | uniq | tail -3 | tee out | wc -l",
    "archive": "mkdir d && seq 99 > d/f && tar czf d.tgz d && tar xzf d.tgz && rm -r d d.tgz",
    "build": (
        "printf 'int main(){return 0;}' > a.c && gcc -O1 -g a.c -o a && ./a && strip a && ./a && ar rc l.a a && rm a a.c"
    ),
    "git": (
        "git init -q . && git config user.email a@b && git config user.name a && seq 9 > f && git add f && "
        "git commit -qm one && git log --oneline >/dev/null && git gc -q"
    ),
    "python": f"{PYTHON} -c 'import json, ssl, sqlite3, subprocess; subprocess.run([\"true\"])'",
    "make": (
        "printf 'all: p\\n\\t./p\\np: p.c\\n\\tgcc p.c -o p\\n' > Makefile; "
        "printf 'int main(){return 0;}' > p.c; make -s -j2"
    ),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_work_is_no_risk(here: Path, name: str) -> None:
    found = risks_of("bash", "-c", ORDINARY[name])
    assert {rule: str(risk) for rule, risk in found.items() if risk.severity != "info"} == {}


def test_the_rules_are_complete_and_use_known_words() -> None:
    known = set(load_words().actions.values())
    for rule in load_rules():
        assert rule.actions <= known, rule.id
        assert "{subjects}" in rule.text, rule.id
        assert rule.why.endswith("."), rule.id
        assert 0 <= rule.deduct <= 30, rule.id
        assert (rule.deduct == 0) == (rule.severity == "info"), rule.id


@pytest.mark.parametrize(
    "text",
    ["", "severity = 'low'", "not toml", "severity='loud'\ndeduct=1\ntext='t'\nwhy='w'\n[when]\nkinds=['call']",
     "severity='low'\ndeduct=1\ntext='t'\nwhy='w'\n[when]\nkinds=['call']\ncolour='red'",
     "severity='low'\ndeduct=1\ntext='t'\nwhy='w'\n[when]\nkinds=['call']\narguments={a='('}"],
)  # fmt: skip
def test_a_malformed_rule_is_named(text: str) -> None:
    with pytest.raises(FormatError, match="risk rule mine"):
        parse_rule("mine", text)
