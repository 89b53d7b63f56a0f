# SPDX-License-Identifier: Apache-2.0
"""The real programs that must replay identically: what is run, what it needs, and what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.replay.real import sources

__all__ = ["PROGRAMS", "Real"]


@dataclass(frozen=True)
class Real:
    """One real program.

    Attributes:
        name: What it is called here.
        script: What bash runs in a directory of its own; PORT is a free port of the loopback interface.
        needs: Commands without which it is skipped, loudly.
        texts: Name in its directory → content.
        files: Names of files from `files/` that are copied there.
        prepare: What bash runs there before, unrecorded.
        server: What bash runs meanwhile, unrecorded; it is waited for at PORT.
        quick: Part of `make test`.
        status: The exit status it has.
        probed: Whether it is run unrecorded first, and skipped where that fails: what it needs of a machine is no command.
        marked: Whether a recording may be marked as not certain, and its replay then differ.
    """

    name: str
    script: str
    needs: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    prepare: str = ""
    server: str = ""
    quick: bool = False
    status: int = 0
    probed: bool = False
    marked: bool = False


def _python(name: str, source: str, *, marked: bool = False, server: str = "", quick: bool = False) -> Real:
    script = "exec /usr/bin/python3 prog.py $PORT"
    return Real(name, script, ("python3",), {"prog.py": source}, server=server, marked=marked, quick=quick)


_TREE: Final = "mkdir -p tree/a/b; for i in $(seq 60); do echo line $i >tree/a/$i; done; cp -r tree/a tree/c; ln -s a/1 tree/l"
_CERTIFICATE: Final = (
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2"
    " -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null"
)
_TLS: Final = "exec openssl s_server -accept 127.0.0.1:$PORT -cert cert.pem -key key.pem -www -quiet"
_REPOSITORY: Final = (
    "export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b;"
    " git init -q from; cd from; for i in $(seq 20); do seq $i 200 >f$i; done; git add .; git commit -qm one"
)
_GIT: Final = (
    "export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b;"
    " git clone -q from to && cd to && seq 300 >new && git add new && git commit -qm two && git log --format=%H%ct"
    " && git gc -q && git status && git fsck 2>/dev/null; ls .git/objects/pack"
)
_REDIS: Final = """
exec_redis() { exec -a redis-server "$(command -v redis-server || command -v redis-check-rdb)" "$@"; }
(exec_redis --port $PORT --bind 127.0.0.1 --save '' --appendonly no --daemonize no >log) &
until redis-cli -p $PORT ping 2>/dev/null | grep -q PONG; do sleep 0.05; done
redis-benchmark -p $PORT -n 300 -c 5 -t set,get,incr -q
redis-cli -p $PORT set key "$RANDOM"; redis-cli -p $PORT get key
redis-cli -p $PORT shutdown nosave; wait; sed 's/^[0-9]*://' log | tail -3
"""
_NGINX: Final = """
cat >nginx.conf <<END
daemon off; master_process on; worker_processes 2; pid $PWD/pid; error_log $PWD/error.log;
events { worker_connections 64; }
http { access_log $PWD/access.log; client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3;
  uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
  server { listen 127.0.0.1:$PORT; root $PWD; } }
END
nginx -e error.log -p $PWD -c $PWD/nginx.conf & nginx=$!
for i in 1 2 3 4 5; do curl -s --retry 20 --retry-delay 1 --retry-connrefused http://127.0.0.1:$PORT/page; done
kill -QUIT $nginx; wait $nginx; echo "nginx: $?"; cat access.log
"""
_PROJECT: Final = {
    "Makefile": "all: prog\nprog: a.o b.o c.o d.o main.o\n\tcc -o $@ $^\n%.o: %.c\n\tcc -O2 -c -o $@ $<\nsub:\n\t+$(MAKE) all\n",
    "main.c": "#include <stdio.h>\nint a(void), b(void), c(void), d(void);\n"
    'int main(void) { printf("%d\\n", a() + b() + c() + d()); return 0; }\n',
    **{
        f"{name}.c": f'#include <stdlib.h>\nint {name}(void) {{ return atoi("{n}"); }}\n'
        for n, name in enumerate("abcd")
    },
}
_BUNDLE: Final = """
mkdir -p bundle/rootfs/bin bundle/rootfs/proc; cp "$(command -v busybox)" bundle/rootfs/bin/busybox
ln -s busybox bundle/rootfs/bin/sh; cd bundle; runc spec
sed -i 's/"terminal": true/"terminal": false/; s/"sh"$/"sh", "-c", "echo in a container; busybox id; busybox ls \\/bin"/' \\
  config.json
"""
_CONTAINER: Final = "exec {runtime} --root $PWD/state run --bundle bundle observed-$$-$RANDOM"

PROGRAMS: Final[tuple[Real, ...]] = (
    Real("date", "exec date +%s.%N", quick=True),
    Real(
        "coreutils",
        "seq 2000 | sort -R | sha256sum; shuf -n 3 /etc/passwd; df / | wc -l; stat -c %i .; mktemp -u",
        quick=True,
    ),
    Real("ls", "exec ls -lR /etc/apt /usr/share/doc/bash", quick=True),
    Real(
        "bash",
        "for i in 3 1 2; do echo $i & done | sort; wait; echo $RANDOM $$ $SECONDS; cat <(echo a) <(echo b);"
        " read -t 0.1 x </dev/zero || echo late",
    ),
    Real("find", "exec find tree -newermt 2000-01-01 -size -9k -printf '%p %s %T@\\n'", prepare=_TREE),
    Real("grep", "exec grep -rn 'ine 1' tree", prepare=_TREE, quick=True),
    Real(
        "tar",
        "tar c tree | gzip | tee packed.tgz | sha256sum; tar tzvf packed.tgz; tar xzf packed.tgz -C /tmp --to-stdout | md5sum",
        prepare=_TREE,
    ),
    Real("git", _GIT, ("git",), prepare=_REPOSITORY),
    _python("python-random-time", sources.RANDOM_TIME, quick=True),
    _python("python-threads", sources.THREADS),
    _python("python-subprocess", sources.SUBPROCESS),
    _python("python-asyncio", sources.ASYNCIO),
    _python("python-sqlite3", sources.SQLITE),
    _python(
        "python-urllib", sources.URLLIB, server="exec /usr/bin/python3 -m http.server --bind 127.0.0.1 $PORT"
    ),
    _python("python-server", sources.SERVER),
    _python("python-pool", sources.POOL),
    _python("python-storm", sources.STORM, quick=True),
    Real("perl", "exec perl prog.pl", ("perl",), files=("prog.pl",)),
    Real(
        "perl-alarm",
        "exec perl -e '$SIG{ALRM} = sub { print \"$x>0\\n\" if $x > 0; exit 3 }; alarm 1; while (1) { $x++ }'",
        ("perl",),
        status=3,
        marked=True,
    ),
    Real("sqlite3", "exec sqlite3 db <in.sql", ("sqlite3",), files=("in.sql",)),
    Real("gcc", "gcc -O2 -g -o prog main.c a.c b.c c.c d.c && ./prog && sha256sum prog", ("gcc",), _PROJECT),
    Real("make", "make -j2 sub && ./prog", ("make", "gcc"), _PROJECT),
    Real(
        "curl-tls",
        "exec curl -s --cacert cert.pem https://localhost:$PORT/",
        ("curl", "openssl"),
        prepare=_CERTIFICATE,
        server=_TLS,
    ),
    Real(
        "openssl-s-client",
        "sleep 0.1 | openssl s_client -connect 127.0.0.1:$PORT -CAfile cert.pem 2>&1 | grep -v '^ *Start Time'",
        ("openssl",),
        prepare=_CERTIFICATE,
        server=_TLS,
    ),
    Real("openssl-speed", "exec openssl speed -seconds 1 -bytes 64 sha256", ("openssl",), quick=True),
    Real("redis", _REDIS, ("redis-check-rdb", "redis-benchmark")),
    Real("nginx", _NGINX, ("nginx", "curl"), {"page": "a page\n"}),
    Real("node", "exec node prog.js", ("node",), files=("prog.js",)),
    Real(
        "java",
        "exec java -Xshare:auto -cp . Prog",
        ("java", "javac"),
        files=("Prog.java",),
        prepare="javac Prog.java",
    ),
    Real(
        "java-hello",
        "exec java -jar hello.jar",
        ("java",),
        files=("hello_jar.py",),
        prepare="/usr/bin/python3 hello_jar.py",
    ),
    Real(
        "go",
        "exec ./prog",
        ("go",),
        {"go.mod": "module prog\ngo 1.19\n"},
        ("prog.go",),
        prepare="HOME=$PWD GOFLAGS=-buildvcs=false GOCACHE=$PWD/cache go build -o prog . && rm -rf cache",
    ),
    Real(
        "ssh-keygen",
        "ssh-keygen -q -t ed25519 -N '' -C c -f key && cat key.pub && ssh-keygen -lf key.pub"
        " && ssh-keygen -q -t rsa -b 2048 -N '' -C c -f rsa && cat rsa.pub",
        ("ssh-keygen",),
    ),
    Real(
        "static",
        "exec busybox sh -c 'busybox date; busybox seq 5 | busybox sort -rn; echo $$; busybox ls -l /etc/passwd'",
        ("busybox",),
        quick=True,
    ),
    Real(
        "crun", _CONTAINER.format(runtime="crun"), ("crun", "runc", "busybox"), prepare=_BUNDLE, probed=True
    ),
    Real("runc", _CONTAINER.format(runtime="runc"), ("runc", "busybox"), prepare=_BUNDLE, probed=True),
    Real(
        "podman",
        # A place of podman's own may have a path of 50 characters at most.
        "export CONTAINERS_CONF=$PWD/containers.conf; d=$(mktemp -d /tmp/podXXXX); podman --runtime runc"
        " --root $d/s --runroot $d/r --cgroup-manager cgroupfs --events-backend none run --rm --network none"
        " --rootfs $PWD/bundle/rootfs /bin/busybox echo in a pod; end=$?; umount $d/s/overlay; rm -r $d; exit $end",
        ("podman", "runc", "busybox"),
        {"containers.conf": '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'},
        prepare=_BUNDLE,
        probed=True,
    ),
)
