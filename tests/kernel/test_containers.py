# SPDX-License-Identifier: Apache-2.0
"""Real containers of runc, crun and podman, found by name and watched; and state files of engines that do not run here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from observer import errors
from observer.trace import verify_recording
from observer.trace.live import find_container
from tests.kernel.conftest import calls, events, eventually, observer, root_only

LOOP = "i=0; while true; do cat /etc/inside-$i >/dev/null 2>&1; i=$((i+1)); sleep 0.1; done"
# crun refuses cgroups on a machine that mounts both versions, so it gets a mount namespace with version 2 alone.
_ALONE = (
    'umount -R /sys/fs/cgroup || umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
)
LIMITS = ["--pids-limit", "0", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
BEFORE = {"runc": [], "crun": ["unshare", "-m", "sh", "-c", _ALONE, "sh"]}


def root_file_system(at: Path) -> Path:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed: containers are NOT tested")
    for name in ("bin", "proc", "etc", "dev", "sys", "tmp"):
        (at / name).mkdir(parents=True)
    shutil.copy(busybox, at / "bin" / "busybox")
    for name in ("sh", "cat", "sleep", "true"):
        (at / "bin" / name).symlink_to("busybox")
    return at


def bundle(place: Path, command: str) -> Path:
    out = place / "bundle"
    root_file_system(out / "rootfs")
    subprocess.run(["runc", "spec"], cwd=out, check=True)
    spec = json.loads((out / "config.json").read_text())
    spec["process"].update(terminal=False, args=["/bin/sh", "-c", command])
    spec["process"].pop("rlimits", None)  # raising them, and device rules, need rights that a guest may lack
    spec["linux"].pop("resources", None)
    spec["annotations"] = {"org.opencontainers.image.title": "inside"}
    (out / "config.json").write_text(json.dumps(spec))
    return out


@pytest.fixture(params=["runc", "crun"])
def container(request: pytest.FixtureRequest, place: Path) -> Iterator[tuple[str, str]]:
    root_only()
    runtime = str(request.param)
    if not all(map(shutil.which, (runtime, "runc"))):
        pytest.skip(f"{runtime} is not installed: its containers are NOT tested")
    name = f"observer-{uuid4().hex[:8]}"
    command = [*BEFORE[runtime], runtime, "run", "-d", "--bundle", str(bundle(place, LOOP)), name]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with (place / "runtime.err").open("w") as errors_to:
        done = subprocess.run(command, stderr=errors_to, check=False, timeout=60, **quiet)
    if done.returncode:
        pytest.skip(f"{runtime} cannot run here: {(place / 'runtime.err').read_text()}")
    yield runtime, name
    subprocess.run([*BEFORE[runtime], runtime, "delete", "-f", name], check=False, **quiet)


def inside(path: Path) -> list[str]:
    rows = calls(path, "--syscall", "openat,open")
    return [
        r["args"][-2 if r["syscall"] == "open" else 1]["text"]
        for r in rows
        if "/etc/inside-" in str(r["args"])
    ]


def test_container_is_watched_by_name(place: Path, container: tuple[str, str]) -> None:
    runtime, name = container
    path = place / "rec"
    with subprocess.Popen(
        ["sh", "-c", "while true; do cat /etc/outside 2>/dev/null; sleep .05; done"]
    ) as noise:
        observer("watch", "--container", name, "--for", "1500ms", "-o", path, "-q")
        noise.kill()
    verify_recording(path)
    start = next(e for e in events(path) if e["type"] == "trace_start")
    (facts,) = start["containers"]
    assert (facts["name"], facts["runtime"]) == (name, runtime)
    assert facts["labels"]["org.opencontainers.image.title"] == "inside"
    assert facts["namespaces"]["pid"] and start["container_id"]
    assert len(inside(path)) >= 5
    assert not [r for r in calls(path) if "/etc/outside" in str(r["args"])], "somebody outside was recorded"
    first = [e for e in events(path) if e.get("how") == "existing" and e["pid"] == facts["pid"]]
    assert first[0]["ns_pid"] == 1
    born = [e for e in events(path) if e.get("what") == "start" and e.get("how") != "existing"]
    assert born and all(e["ns_pid"] < e["pid"] for e in born)


def test_what_is_executed_into_it_is_seen(place: Path, container: tuple[str, str]) -> None:
    runtime, name = container
    path = place / "rec"
    observer_words = ["watch", "--container", name, "--for", "4s", "-o", str(path), "-q"]
    with subprocess.Popen([sys.executable, "-m", "observer", *observer_words]) as watching:
        eventually(lambda: (path / "sealed.log").exists(), 30)
        time.sleep(0.5)
        command = [*BEFORE[runtime], runtime, "exec", name, "/bin/cat", "/etc/executed-into"]
        subprocess.run(command, check=False, capture_output=True, timeout=20)
        assert watching.wait(30) == 0
    assert [r for r in calls(path) if "/etc/executed-into" in str(r["args"])]


def test_from_before_its_first_instruction(place: Path) -> None:
    root_only()
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed: NOT tested")
    name, path = f"observer-{uuid4().hex[:8]}", place / "rec"
    made = bundle(place, "cat /etc/first-instruction; sleep 0.5; exit 5")
    done = observer(
        "record", "--container", "-o", path, "--", "runc", "run", "--bundle", made, name, check=False
    )
    if "no cgroup mount found" in done.stderr:
        pytest.skip("no cgroup file system is mounted here: runc cannot run, NOT tested")
    assert done.returncode == 5 and "(eBPF)" in done.stderr, done.stderr
    verify_recording(path)
    execs = [e["argv"] for e in events(path) if e.get("what") == "exec"]
    assert execs[0][0] == "runc" and ["cat", "/etc/first-instruction"] in execs
    (facts,) = [e for e in events(path) if e["type"] == "container"]
    assert (facts["name"], facts["runtime"]) == (name, "runc")


@pytest.fixture
def podman(place: Path) -> Iterator[str]:
    root_only()
    if shutil.which("podman") is None or shutil.which("runc") is None:
        pytest.skip("podman is not installed: its containers are NOT tested")
    name = f"observer-{uuid4().hex[:8]}"
    root = root_file_system(place / "root")
    # No registry is needed: the image is a tar of the file system.
    tar = subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True).stdout
    base = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    loaded = subprocess.run(
        [*base, "import", "-", f"localhost/{name}"], input=tar, capture_output=True, check=False
    )
    words = [
        "run",
        *LIMITS,
        "-d",
        "--network",
        "none",
        "--name",
        name,
        "--label",
        "who=observer",
        f"localhost/{name}",
        "/bin/sh",
        "-c",
        LOOP,
    ]
    done = subprocess.run([*base, *words], capture_output=True, text=True, check=False, timeout=90)
    if loaded.returncode or done.returncode:
        subprocess.run([*base, "rm", "-f", "-t", "0", name], capture_output=True, check=False)
        pytest.skip(f"podman cannot run here: {done.stderr or loaded.stderr!r}")
    yield name
    subprocess.run([*base, "rm", "-f", "-t", "0", name], capture_output=True, check=False)
    subprocess.run([*base, "rmi", "-f", f"localhost/{name}"], capture_output=True, check=False)


def test_podman_container_is_watched_by_name_and_by_id(place: Path, podman: str) -> None:
    found = find_container(podman)
    assert (found.engine, found.name, len(found.container_id)) == ("podman", podman, 64)
    assert f"localhost/{podman}" in found.image and found.image_digest.startswith("sha256:")
    path = place / "rec"
    observer("watch", "--container", found.container_id[:12], "--for", "1500ms", "-o", path, "-q")
    assert len(inside(path)) >= 5
    start = next(e for e in events(path) if e["type"] == "trace_start")
    assert start["containers"][0]["image_digest"] == found.image_digest


def state(root: Path, name: str, value: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.mark.without_probe
def test_layouts_of_docker_and_containerd_and_rubbish(tmp_path: Path) -> None:
    pids = iter((101, 102, 103))
    docker, ctr = "d" * 64, "c" * 64
    state(tmp_path, f"var/lib/docker/containers/{docker}/config.v2.json", {
        "ID": docker, "Name": "/web", "State": {"Pid": next(pids)}, "Image": "sha256:abc",
        "Config": {"Image": "nginx:1", "Labels": {"team": "blue"}},
    })  # fmt: skip
    state(tmp_path, f"run/containerd/runc/k8s.io/{ctr}/state.json", {
        "id": ctr, "init_process_pid": next(pids), "config": {"labels": ["bundle=/b", "io.cri=yes"]},
    })  # fmt: skip
    state(tmp_path, "run/runc/broken/state.json", "{not json")
    state(tmp_path, "run/crun/list/status", [1, 2])
    state(tmp_path, "run/crun/gone/status", {"pid": 999, "bundle": 7})
    for pid in (101, 102):
        state(tmp_path, f"proc/{pid}/cgroup", f"0::/pods/{pid}\n")
        (tmp_path / f"sys/fs/cgroup/pods/{pid}").mkdir(parents=True)
    web = find_container("web", root=tmp_path)
    assert (web.engine, web.image_digest, web.labels, web.cgroup_path) == (
        "docker",
        "sha256:abc",
        {"team": "blue"},
        "/pods/101",
    )
    pod = find_container("ccc", root=tmp_path)
    assert (pod.engine, pod.pid, pod.labels["io.cri"]) == ("containerd", 102, "yes")
    for word in ("gone", "broken", "d", ""):
        with pytest.raises(errors.NotFoundError):
            find_container(word, root=tmp_path)
    assert pod.cgroup is not None and pod.cgroup.is_absolute()
