# SPDX-License-Identifier: Apache-2.0
"""What needs another machine, or root, to happen for real: told as calls, judged by the same rules."""

from collections.abc import Sequence
from typing import Any

from observer.trace.findings import Findings
from observer.trace.reading import SealedLine
from observer.trace.rules import load_rules, load_words
from observer.trace.watch import Watch

OUTSIDE = '{sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}'
RECORDS = iter(range(1_000_000))


def call(name: str, *texts: str, result: int = 0, errno: str | None = None, pid: int = 7) -> dict[str, Any]:
    outcome = "ok" if errno is None else "denied" if errno in ("EPERM", "EACCES") else "failed"
    arguments = [
        {"name": f"a{index}", "text": text, "class": "path" if text.startswith('"/') else "int"}
        for index, text in enumerate(texts)
    ]
    facts = {"syscall": name, "args": arguments, "result": result, "errno": errno, "outcome": outcome}
    return {**facts, "record": next(RECORDS), "pid": pid, "tid": pid, "start_ns": 0}


def process(what: str, pid: int = 7, **facts: object) -> SealedLine:
    return SealedLine(
        next(RECORDS), {"type": "process", "what": what, "pid": pid, "tid": pid, "ppid": 1, **facts}
    )


def rules_of(*story: dict[str, Any] | SealedLine) -> set[str]:
    watch, findings = Watch(load_words()), Findings(load_rules())
    for item in story:
        seen: Sequence[Any] = [watch.see_line(item)] if isinstance(item, SealedLine) else watch.see_call(item)
        for sight in seen:
            if sight is not None:
                findings.consider(sight)
    return {risk.rule for risk in findings.risks()}


START = process("exec", exe="/usr/bin/tool", cwd="/work-place", uid=1000, euid=1000, gid=1000, egid=1000)
SOCKET = call("socket", "AF_INET", "SOCK_STREAM|SOCK_CLOEXEC", "IPPROTO_TCP", result=5)


def test_connections_outside() -> None:
    assert rules_of(START, SOCKET, call("connect", "5", OUTSIDE, "16")) == {"network-outbound"}
    assert rules_of(START, SOCKET, call("connect", "5", OUTSIDE, "16", errno="EINPROGRESS")) == {
        "network-outbound"
    }
    assert rules_of(START, SOCKET, call("connect", "5", OUTSIDE, "16", errno="ENETUNREACH")) == {
        "network-tried"
    }
    datagram = call("socket", "AF_INET", "SOCK_DGRAM", "IPPROTO_IP", result=5)
    assert rules_of(START, datagram, call("connect", "5", OUTSIDE, "16")) == {"network-datagram"}
    sent = call("sendto", "5", '"query"', "5", "0", OUTSIDE, "16", result=5)
    assert rules_of(START, datagram, sent) == {"network-datagram"}
    assert rules_of(START, datagram, call("sendto", "5", '"query"', "5", "0", "NULL", "0", result=5)) == set()
    said = 'msg_iov=[{iov_base="sin_port=htons(1), sin_addr=inet_addr(\\"192.0.2.9\\")", iov_len=40}], msg_iovlen=1'
    packed = call("sendmsg", "5", f"{{msg_name={OUTSIDE}, msg_namelen=16, {said}}}", "0", result=5)
    assert rules_of(START, datagram, packed) == {"network-datagram"}
    unnamed = call("sendmsg", "5", f"{{msg_name=NULL, msg_namelen=0, {said}}}", "0", result=5)
    assert rules_of(START, datagram, unnamed) == set(), "what is said is no address"


def test_what_was_downloaded_and_run() -> None:
    fetched = (
        SOCKET,
        call("connect", "5", OUTSIDE, "16"),
        call("openat", "AT_FDCWD", '"/work-place/x"', "O_WRONLY|O_CREAT"),
    )
    execute = (call("execve", '"/work-place/x"', "[]", "0"), process("exec", exe="/work-place/x", euid=1000))
    assert "downloaded-then-run" in rules_of(START, *fetched, *execute)
    assert "written-then-run" in rules_of(START, fetched[2], *execute)


def test_a_stranger_is_entered_by_a_handle() -> None:
    handle = call("pidfd_open", "4711", "0", result=3)
    assert "namespace-entered" in rules_of(START, handle, call("setns", "3", "CLONE_NEWNS"))
    own = process("start", pid=4711, exe="/usr/bin/tool")
    assert "namespace-entered" not in rules_of(START, own, handle, call("setns", "3", "CLONE_NEWNS"))


def test_another_users_rights() -> None:
    gained = process("exec", exe="/usr/bin/sudo", uid=1000, euid=0)
    assert rules_of(START, gained) == {"privilege-gained"}
    assert (
        rules_of(START, call("setresuid", "-1", "1000", "-1"), process("exec", exe="/bin/true", euid=1000))
        == set()
    )
    assert rules_of(START, call("setuid", "0")) == {"user-changed", "became-root"}
    assert rules_of(START, call("setuid", "33")) == {"user-changed"}


def test_deeds_of_root() -> None:
    assert rules_of(START, call("finit_module", "3", '""', "0")) == {"kernel-changed"}
    assert rules_of(START, call("mount", '"/a"', '"/b"', '"ext4"', "0", "NULL")) == {"mounts"}
    assert rules_of(START, call("clock_settime", "CLOCK_REALTIME", "{tv_sec=0, tv_nsec=0}")) == {
        "clock-changed"
    }
    assert rules_of(START, call("adjtimex", "{modes=0, offset=0}")) == set()
    write = call("openat", "AT_FDCWD", '"/etc/sudoers.d/me"', "O_WRONLY|O_CREAT|O_TRUNC")
    assert rules_of(START, write) == {"accounts-changed"}
    assert rules_of(START, call("openat", "AT_FDCWD", '"/dev/sda"', "O_RDWR")) == {"device-written"}
    assert rules_of(START, call("unlink", '"/var/log/auth.log"')) == {"log-tampering"}
    docker = call("connect", "3", '{sa_family=AF_UNIX, sun_path="/run/docker.sock"}', "110")
    assert rules_of(START, docker) == {"container-control"}


def test_signals_within_the_tree_are_its_own_business() -> None:
    child = process("start", pid=8)
    assert rules_of(START, child, call("kill", "8", "SIGTERM")) == set()
    assert rules_of(START, child, call("kill", "-7", "SIGTERM"), call("kill", "0", "SIGTERM")) == set()
    assert rules_of(START, call("kill", "4242", "SIGTERM")) == {"signals-outside"}
    assert rules_of(START, call("kill", "4242", "0")) == set()


def test_relative_paths_follow_directories() -> None:
    down = (
        call("chdir", '"/home/ana"'),
        call("openat", "AT_FDCWD", '".ssh"', "O_RDONLY|O_DIRECTORY", result=4),
    )
    down[1]["args"][1]["class"] = "path"
    key = call("openat", "4", '"id_rsa"', "O_RDONLY")
    key["args"][1]["class"] = "path"
    assert rules_of(START, *down, key) == {"sensitive-file-read"}
