# SPDX-License-Identifier: Apache-2.0
"""Observer and strace see the same: per thread the same calls, results and paths, for real programs.

Documented differences, and nothing else, are allowed:

* `getppid` of the first process names the tracer, which is another one.
* How often threads meet in `futex` depends on the scheduler, not on the tracer: ignored for the threaded program.
* Names of temporary files that a program draws at random (mkstemp) are compared up to the random part.
* A run whose order of events depends on the scheduler (SIGCHLD before or after a `write`) may differ from another run under
  the same tracer; such a pair is taken again, at most seven times.
"""

from __future__ import annotations

import http.server
import shutil
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture import tracing

ATTEMPTS = 8
SHELL = ["/bin/bash", "-c"]
THREADS_C = """
#include <pthread.h>
#include <unistd.h>
#include <fcntl.h>
static void *work(void *n) { char p[32]; int fd = open("/etc/hostname", O_RDONLY); read(fd, p, 32); close(fd); return n; }
int main(void) {
  pthread_t t[4];
  for (int i = 0; i < 4; i++) { pthread_create(&t[i], 0, work, 0); pthread_join(t[i], 0); }
  return 7;
}
"""
GIT = (
    "git init -q g && cd g && echo a > f && touch -d @1000000000 f && git add f && "
    "GIT_AUTHOR_DATE=1000000000+0000 GIT_COMMITTER_DATE=1000000000+0000 "
    "git -c user.name=a -c user.email=b@c commit -qm x && git log"
)
PROGRAMS: dict[str, list[str]] = {
    "true": ["true"],
    "ls": ["ls", "-l", "/etc"],
    "cat": ["cat", "/etc/passwd", "/etc/nonexistent"],
    "cp": ["cp", "/etc/services", "copy"],
    "find": ["find", "/etc/apt", "-name", "*.list"],
    "grep": ["grep", "-r", "deb", "/etc/apt"],
    "sort": ["sort", "/etc/services"],
    "sha256sum": ["sha256sum", "/etc/services"],
    "tar": ["tar", "cf", "t.tar", "/etc/apt"],
    "gzip": ["gzip", "-c", "/etc/services"],
    "date": ["date"],
    "id": ["id"],
    "df": ["df", "/"],
    "du": ["du", "-s", "/etc/apt"],
    "stat": ["stat", "/etc/passwd"],
    "env": ["env"],
    "sed": ["sed", "s/daemon/demon/", "/etc/passwd"],
    "awk": ["awk", "-F:", "{print $1}", "/etc/group"],
    "perl": ["perl", "-e", 'open(F, "<", "/etc/passwd"); print scalar(<F>)'],
    "python": ["/usr/bin/python3", "-c", "import json, os; print(json.dumps(os.listdir('/etc/apt')))"],
    "sqlite": ["sqlite3", "db", "create table t(a); insert into t values (1); select * from t;"],
    "git": [*SHELL, GIT],
    "gcc": [
        *SHELL,
        'echo "int main(void) { return 0; }" > a.c && gcc -pipe -O1 -c a.c && gcc -o a a.o && ./a',
    ],
    "make": [*SHELL, 'printf "all: a b\\na:\\n\\ttouch a\\nb:\\n\\tcp a b\\n" > Makefile && make -s'],
    "pipeline": [*SHELL, "cat /etc/group | sort | head -n 2"],
    "loop": [*SHELL, "for i in 1 2 3; do /bin/true; done; exit 3"],
    "files": [
        *SHELL,
        "mkdir -p d/e; mv d/e d/f; ln -s 'x y' d/l; chmod 700 d; touch 'a\tb'; rm -r d; cat missing",
    ],
    "xargs": ["xargs", "-a", "/etc/hostname", "echo"],
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Answers one fixed page and logs nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_: object) -> None:
        """Keep silent."""


@pytest.fixture
def server() -> Iterator[int]:
    """Serve HTTP on a free loopback port; yields the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Quiet) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd.server_address[1]
        httpd.shutdown()


def agree(argv: list[str], tmp_path: Path, ignore: frozenset[str] = frozenset()) -> None:
    """Run a command under both until they agree; fail with the differences of the last attempt."""
    found: list[str] = []
    for _attempt in range(ATTEMPTS):
        work, cwd = tmp_path / "work", tmp_path / "cwd"
        views = []
        for look in (tracing.observed, tracing.straced):
            shutil.rmtree(cwd, ignore_errors=True)
            cwd.mkdir()
            work.mkdir(exist_ok=True)
            views.append(look(argv, work, cwd))
        found = tracing.differences(views[0], views[1], ignore)
        if not found:
            assert sum(map(len, views[0].values())) > 20
            return
        shutil.rmtree(work)
    pytest.fail("\n".join(found[:10]))


@pytest.mark.parametrize("name", PROGRAMS)
def test_same_calls_results_and_paths_as_strace(name: str, tmp_path: Path) -> None:
    argv = PROGRAMS[name]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed (make setup-test installs it)")
    agree(argv, tmp_path)


def test_a_threaded_program(tmp_path: Path) -> None:
    source, program = tmp_path / "threads.c", tmp_path / "threads"
    source.write_text(THREADS_C)
    tracing.subprocess.run(["gcc", "-pthread", "-o", str(program), str(source)], check=True)
    agree([str(program)], tmp_path, frozenset({"futex"}))


def test_curl_to_a_loopback_server(server: int, tmp_path: Path) -> None:
    ignore = frozenset({"futex", "poll", "rt_sigaction", "recvfrom", "socketpair"})
    agree(["curl", "-s", "-o", "page", f"http://127.0.0.1:{server}/"], tmp_path, ignore)
