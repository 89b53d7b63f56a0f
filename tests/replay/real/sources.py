# SPDX-License-Identifier: Apache-2.0
"""What the interpreters and compilers among the real programs are given."""

from __future__ import annotations

from typing import Final

RANDOM_TIME: Final = """
import os, random, secrets, tempfile, time, uuid
print(random.random(), secrets.token_hex(8), uuid.uuid4(), uuid.uuid1(), time.time(), time.perf_counter_ns(), os.getpid())
print(hash("text"), id(object()), tempfile.mkdtemp(dir="."), time.ctime())
"""
THREADS: Final = """
import queue, random, threading, time
seen, lock, work = [], threading.Lock(), queue.Queue()
def consume(name):
    while (item := work.get()) is not None:
        with lock:
            seen.append((name, item))
        if random.random() < 0.2:
            time.sleep(0.001)
threads = [threading.Thread(target=consume, args=(n,)) for n in range(4)]
[t.start() for t in threads]
[work.put(n) for n in range(200)]
[work.put(None) for _ in threads]
[t.join() for t in threads]
count = 0
def spin():
    global count
    for _ in range(200000):
        count += 1
threads = [threading.Thread(target=spin) for _ in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
print(seen, count)
"""
SUBPROCESS: Final = """
import subprocess, sys
for n in range(3):
    print(subprocess.run(["sh", "-c", f"echo $$; date +%N; exit {n}"], capture_output=True))
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read().upper())"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(child.communicate("text")[0], child.pid)
sleeper = subprocess.Popen(["sleep", "100"])
sleeper.terminate()
print(sleeper.wait())
"""
ASYNCIO: Final = """
import asyncio, time
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
async def client(port, name):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for n in range(5):
        writer.write(f"{name} {n}\\n".encode())
        print((await reader.readline()).decode().strip(), time.monotonic_ns())
    writer.close()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(*(client(port, n) for n in range(4)))
    print(await asyncio.to_thread(time.time))
    child = await asyncio.create_subprocess_exec("date", stdout=asyncio.subprocess.PIPE)
    print((await child.communicate())[0], port)
    server.close()
asyncio.run(main())
"""
# Timer signals in a computation without calls, which comes by the same places in nearly the same state again and again.
STORM: Final = """
import signal
seen = []
signal.signal(signal.SIGALRM, lambda number, frame: seen.append(x))
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
x, table = 0, {}
while len(seen) < 12:
    x += 1
    table[str(x % 5000)] = [x, str(x)]
signal.setitimer(signal.ITIMER_REAL, 0)
print(seen)
"""
SQLITE: Final = """
import sqlite3, time
db = sqlite3.connect("data.db")
db.execute("pragma journal_mode=wal")
db.execute("create table t (a integer primary key, b real, c text)")
db.executemany("insert into t (b, c) values (random(), ?)", [(str(time.time_ns()),) for _ in range(300)])
db.commit()
print(db.execute("select count(*), sum(b), min(c) from t").fetchone(), db.execute("select datetime('now')").fetchone())
"""
URLLIB: Final = """
import sys, urllib.request
for name in ("", "prog.py", "absent"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/{name}") as answer:
            print(answer.status, dict(answer.headers), len(answer.read()))
    except urllib.error.HTTPError as error:
        print(error.code, error.headers["Date"])
"""
SERVER: Final = """
import http.server, threading, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.path} {self.client_address}".encode())
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for n in range(5):
    print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{n}").read())
server.shutdown()
"""
POOL: Final = """
import multiprocessing, os, time
def work(n):
    return n * n, os.getpid(), time.time_ns()
if __name__ == "__main__":
    with multiprocessing.Pool(3) as pool:
        print(pool.map(work, range(20)))
        print(pool.apply_async(work, (99,)).get())
"""
