# SPDX-License-Identifier: Apache-2.0
"""Finds a container by id or name in what its runtime leaves on disk, and says what is known of it.

Reads state files only and starts no runtime's command: those of runc (alone, under containerd, under Docker), crun and podman.
What a container is in the kernel's eyes (its process, cgroup and namespaces) comes from /proc. Sources: runc's state.json,
crun's status, containers/storage's containers.json and images.json, Docker's config.v2.json, the OCI runtime specification.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from observer.errors import NotFoundError, UsageError

__all__ = ["Container", "find_container", "list_containers"]

_LARGEST: Final = 8 << 20  # bytes of a state file; more is none
_LISTED: Final = 8  # names shown when none fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A running container.

    Attributes:
        container_id: The runtime's id: 64 hexadecimal digits, or whatever name `runc run NAME` gave.
        name: The name that people use.
        runtime: `runc`, `crun`, or what Docker's or podman's files name.
        engine: `docker`, `podman`, `containerd`, or empty for a bare runtime.
        pid: Its first process, as this machine sees it.
        bundle: Directory of its OCI configuration.
        image: The image's name, where known.
        image_digest: Its digest, where known.
        labels: Labels and OCI annotations.
        cgroup: Directory of its own cgroup in the unified hierarchy; None when it has none of its own.
        cgroup_path: The same as /proc shows it.
        namespaces: Inode numbers by kind.
    """

    container_id: str
    name: str
    runtime: str
    engine: str = ""
    pid: int = 0
    bundle: str = ""
    image: str = ""
    image_digest: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    cgroup: Path | None = None
    cgroup_path: str = ""
    namespaces: Mapping[str, int] = field(default_factory=dict)

    @property
    def trace_container_id(self) -> UUID:
        """The UUID by which traces name it: derived from engine and id, so equal wherever it is computed."""
        return uuid5(NAMESPACE_URL, f"oci:{self.engine or self.runtime}:{self.container_id}")

    def to_dict(self) -> dict[str, Any]:
        """Return its facts for a sealed line."""
        return {
            "container_id": self.container_id,
            "name": self.name,
            "runtime": self.runtime,
            "engine": self.engine,
            "pid": self.pid,
            "bundle": self.bundle,
            "image": self.image,
            "image_digest": self.image_digest,
            "labels": dict(self.labels),
            "cgroup": self.cgroup_path,
            "namespaces": dict(self.namespaces),
        }


def find_container(word: str, *, root: Path = Path("/")) -> Container:
    """Return the running container with that name, id or unique beginning of an id.

    Args:
        word: What the user typed.
        root: Where the machine's files are; another one for tests.

    Raises:
        NotFoundError: No running container is called so. [OBS700]
        UsageError: Several are. [OBS100]
    """
    known = list(list_containers(root=root))
    exact = [c for c in known if word in (c.container_id, c.name)]
    found = exact or [c for c in known if len(word) >= 3 and c.container_id.startswith(word)]
    if len(found) > 1:
        names = ", ".join(f"{c.container_id[:12]} ({c.engine or c.runtime})" for c in found[:_LISTED])
        raise UsageError(f"{word!r} is several containers: {names}", hint="use more letters of the id")
    if not found:
        names = ", ".join(sorted(c.name for c in known)[:_LISTED]) or "none is running that this user can see"
        raise NotFoundError(f"no running container is called {word!r}", hint=f"running: {names}")
    return found[0]


def list_containers(*, root: Path = Path("/")) -> Iterator[Container]:
    """Yield each running container that the state files on this machine name, engines before bare runtimes."""
    seen: set[int] = set()
    for found in (*_docker(root), *_podman(root), *_runc(root), *_crun(root)):
        if found.pid <= 0 or found.pid in seen or not (root / "proc" / str(found.pid)).is_dir():
            continue
        seen.add(found.pid)
        yield _in_kernel(found, root)


def _read(path: Path) -> Any:
    """Return a JSON file's value; None for what is not there, too large or no JSON: these files are others' and change."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        return json.loads(data) if len(data) <= _LARGEST else None
    except (OSError, ValueError, RecursionError):
        return None


def _object(path: Path) -> dict[str, Any]:
    value = _read(path)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _annotations(bundle: str, root: Path) -> dict[str, str]:
    return _texts(_object(root / bundle.lstrip("/") / "config.json").get("annotations")) if bundle else {}


def _glob(root: Path, *patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(root.glob(pattern))


_RUNC: Final = ("run/runc/*/state.json", "run/user/*/runc/*/state.json", "run/containerd/runc/*/*/state.json")


def _runc(root: Path) -> Iterator[Container]:
    for path in _glob(root, *_RUNC):
        yield _of_runc(path, root)


def _of_runc(path: Path, root: Path) -> Container:
    state = _object(path)
    config = state.get("config") if isinstance(state.get("config"), dict) else {}
    labels = [_text(label) for label in (config or {}).get("labels") or []]
    pairs = dict(label.partition("=")[::2] for label in labels)
    bundle = pairs.pop("bundle", "")
    name = _text(state.get("id")) or path.parent.name
    return Container(
        container_id=name,
        name=name,
        runtime="runc",
        engine="containerd" if "containerd" in path.parts else "",
        pid=_number(state.get("init_process_pid")),
        bundle=bundle,
        labels=pairs | _annotations(bundle, root),
    )


def _crun(root: Path) -> Iterator[Container]:
    for path in _glob(root, "run/crun/*/status", "run/user/*/crun/*/status"):
        status = _object(path)
        bundle = _text(status.get("bundle"))
        name = path.parent.name
        labels = _annotations(bundle, root)
        pid = _number(status.get("pid"))
        yield Container(container_id=name, name=name, runtime="crun", pid=pid, bundle=bundle, labels=labels)


def _docker(root: Path) -> Iterator[Container]:
    for path in _glob(root, "var/lib/docker/containers/*/config.v2.json"):
        facts = _object(path)
        state = facts.get("State") if isinstance(facts.get("State"), dict) else {}
        config = facts.get("Config") if isinstance(facts.get("Config"), dict) else {}
        yield Container(
            container_id=_text(facts.get("ID")) or path.parent.name,
            name=_text(facts.get("Name")).lstrip("/"),
            runtime=_text((_object(path.parent / "hostconfig.json")).get("Runtime")) or "runc",
            engine="docker",
            pid=_number((state or {}).get("Pid")),
            image=_text((config or {}).get("Image")),
            image_digest=_text(facts.get("Image")),
            labels=_texts((config or {}).get("Labels")),
        )


_STORES: Final = (
    "var/lib/containers/storage",
    "home/*/.local/share/containers/storage",
    "root/.local/share/containers/storage",
)


def _podman(root: Path) -> Iterator[Container]:
    running = {c.container_id: c for c in (*_runc(root), *_crun(root))}
    for store in _glob(root, *_STORES):
        images = _images(store)
        listed = _read(store / "overlay-containers" / "containers.json")
        listed = listed or _read(store / "vfs-containers" / "containers.json") or []
        for entry in listed if isinstance(listed, list) else []:
            found = running.get(_text(entry.get("id"))) if isinstance(entry, dict) else None
            if found is not None:
                yield _of_podman(entry, found, images)


def _of_podman(entry: Mapping[str, Any], found: Container, images: Mapping[str, str]) -> Container:
    try:
        meta = json.loads(_text(entry.get("metadata")) or "{}")
    except ValueError:
        meta = {}
    names = entry.get("names")
    name = _text(meta.get("name")) or (_text(names[0]) if isinstance(names, list) and names else found.name)
    return replace(
        found,
        name=name,
        engine="podman",
        image=_text(meta.get("image-name")),
        image_digest=images.get(_text(entry.get("image")), ""),
    )


def _images(store: Path) -> dict[str, str]:
    for driver in ("overlay", "vfs"):
        listed = _read(store / f"{driver}-images" / "images.json")
        if isinstance(listed, list):
            return {_text(i.get("id")): _text(i.get("digest")) for i in listed if isinstance(i, dict)}
    return {}


_KINDS: Final = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def _in_kernel(found: Container, root: Path) -> Container:
    proc = root / "proc" / str(found.pid)
    spaces: dict[str, int] = {}
    for kind in _KINDS:
        try:
            spaces[kind] = int(str((proc / "ns" / kind).readlink()).partition("[")[2].rstrip("]"))
        except (OSError, ValueError):
            continue
    path = _unified(proc)
    place = _mount(root) / path.lstrip("/")
    shared = path in ("", "/", _unified(root / "proc" / "1"), _unified(root / "proc" / "self"))
    own = None if shared or not place.is_dir() else place
    return replace(found, namespaces=spaces, cgroup=own, cgroup_path=path if own else "")


def _unified(proc: Path) -> str:
    """Return a process's path in the cgroup v2 hierarchy; it is there in hybrid machines too."""
    try:
        lines = (proc / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def _mount(root: Path) -> Path:
    try:
        text = (root / "proc" / "self" / "mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return root / "sys/fs/cgroup"
    places = [line.split(" ")[1] for line in text.splitlines() if line.split(" ")[2:3] == ["cgroup2"]]
    return root / (places[-1].lstrip("/") if places else "sys/fs/cgroup")
