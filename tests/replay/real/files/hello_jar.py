# SPDX-License-Identifier: Apache-2.0
"""Writes hello.jar, its class assembled by hand: java has something to run where there is no javac.

Source: The Java Virtual Machine Specification, chapter 4. The class prints System.nanoTime().
"""

import zipfile


def u2(number: int) -> bytes:
    return number.to_bytes(2, "big")


def sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


POOL: list[bytes] = []


def entry(tag: int, content: bytes) -> bytes:
    """Add a constant; return its index."""
    POOL.append(bytes([tag]) + content)
    return u2(len(POOL))


def text(word: str) -> bytes:
    return entry(1, u2(len(word)) + word.encode())


def klass(name: str) -> bytes:
    return entry(7, text(name))


def member(tag: int, owner: bytes, name: str, kind: str) -> bytes:
    return entry(tag, owner + entry(12, text(name) + text(kind)))


own, parent, system = klass("Hello"), klass("java/lang/Object"), klass("java/lang/System")
out = member(9, system, "out", "Ljava/io/PrintStream;")
println = member(10, klass("java/io/PrintStream"), "println", "(J)V")
nano_time = member(10, system, "nanoTime", "()J")
# getstatic out; invokestatic nanoTime; invokevirtual println; return
code = b"\xb2" + out + b"\xb8" + nano_time + b"\xb6" + println + b"\xb1"
body = u2(3) + u2(1) + sized(code) + u2(0) + u2(0)
main = u2(9) + text("main") + text("([Ljava/lang/String;)V") + u2(1) + text("Code") + sized(body)
head = b"\xca\xfe\xba\xbe" + u2(0) + u2(49) + u2(len(POOL) + 1) + b"".join(POOL)
made = head + u2(0x21) + own + parent + u2(0) + u2(0) + u2(1) + main + u2(0)
with zipfile.ZipFile("hello.jar", "w") as jar:
    jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: Hello\n")
    jar.writestr("Hello.class", made)
