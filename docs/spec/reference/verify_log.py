#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Second opinion on sealed logs (docs/spec/evidence-log.md): standard library only, shares no code with Observer.

    verify_log.py [--key-file HEXFILE] FILE [NEXT-SEGMENT ...]

Prints one JSON object. Exit 0 proven, 14 the evidence does not hold, 15 not a log. WSLMON_LOG_HMAC_KEY may hold the key.
"""
import base64, hashlib, hmac, json, os, re, sys

from verify_note import note_signed  # beside this file

MAX_LINE, MAX_EVENT, MAX_EPOCH = 1 << 20, (1 << 20) - 1024, 1 << 20  # section 2
LINE = re.compile(
    rb'\{"seq":(0|[1-9][0-9]{0,19})(?:,"kind":"([a-z]{1,32})")?,"event":(\{.*\})'
    rb'(?:,"hmac":"([0-9a-f]{64})")?,"chainHash":"([0-9a-f]{64})"\}', re.DOTALL)

class Finding(Exception): """code, line number (from 1), byte offset, expected sequence, cause"""

def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def mac(key, message): return hmac.digest(key, message, "sha256")
def key_id(key): return mac(key, b"observer-evidence-log key id")[:8].hex()
def ratchet(key, log): return mac(mac(bytes.fromhex(log), key), b"observer-evidence-log/v1 epoch\x01")  # HKDF, RFC 5869

def push(size, nodes, node):
    while size & 1:
        node, size = sha(b"\1", nodes.pop(), node), size >> 1
    nodes.append(node)

def root(nodes):
    right = nodes[-1] if nodes else sha()
    for left in nodes[-2::-1]:
        right = sha(b"\1", left, right)
    return right

def strict(event):
    """Raise ValueError unless the event keeps the rules of section 3."""
    def refuse(cause): raise ValueError(cause)
    def members(pairs): return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("the same key twice")
    def number(text): return text if len(text) <= 128 and abs(float(text)) < float("inf") else refuse("number too long or large")
    def constant(name): refuse(f"{name} is not JSON")
    text, depth = event.decode("utf-8"), 0
    if re.search(rb"[\x00-\x1f]", event) or len(event) > MAX_EVENT: refuse("control byte, or too long")
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > 64: refuse("nested too deep")
    value = json.loads(text, object_pairs_hook=members, parse_int=number, parse_float=number, parse_constant=constant)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails on a lone surrogate

class Log:
    def __init__(self, key):
        self.key, self.head, self.size, self.nodes, self.info, self.epoch = key, bytes(32), 0, [], None, 0

    def need(self, holds, code, cause):
        if not holds:
            raise Finding(code, self.number, self.offset, self.size, cause)

    def first(self, kind, event):
        """The first line of a file says what log this is and where its chain and tree stand."""
        try:
            info, start = json.loads(event), (bytes(32), 0, [])
            self.need(kind in (b"begin", b"segment") and info["format"] == "observer-evidence-log", "OBS500", "foreign")
            self.need(info["version"] == 1, "OBS501", "newer version")
            if kind == b"segment":
                start = bytes.fromhex(info["chain"]), info["size"], [bytes.fromhex(h) for h in info["frontier"]]
            if self.info is None:
                self.info, (self.head, self.size, self.nodes) = info, start
                self.need(len(self.nodes) == bin(self.size).count("1"), "OBS500", "frontier does not fit size")
                self.epochs(info.get("hmac"))
        except (KeyError, ValueError, TypeError) as error:
            self.need(False, "OBS500", f"malformed first record: {error}")
        same = (*start, info["log"]) == (self.head, self.size, self.nodes, self.info["log"])
        self.need(same, "OBS401", "does not continue the file before")
        self.need(not self.key or info["hmac"]["key"] == key_id(self.key), "OBS402", "wrong key")

    def epochs(self, signed):
        self.need(signed or not self.key, "OBS402", "unsigned log, but a key was given")
        if self.key:
            self.epoch = signed["epoch"]
            self.need(0 <= self.epoch <= min(self.size, MAX_EPOCH), "OBS500", "epoch out of range")
            for _ in range(self.epoch):
                self.key = ratchet(self.key, self.info["log"])

    def record(self, kind, event):
        if kind == "end":
            self.need((event["size"], event["root"]) == (self.size, root(self.nodes).hex()), "OBS401", "another root")
        if kind == "checkpoint":
            origin, size, tree = event["note"].split("\n")[:3]
            same = (origin, size, base64.b64decode(tree)) == (self.info["origin"], str(self.size), root(self.nodes))
            self.need(same, "OBS401", "checkpoint states another root")
            right = "signer" not in self.info or note_signed(event["note"], self.info["signer"])
            self.need(right, "OBS402", "checkpoint signature")
        if kind == "epoch":
            self.epoch += 1
            self.need(event["epoch"] == self.epoch, "OBS401", "epochs do not count on")
            self.key = self.key and ratchet(self.key, self.info["log"])
            self.need(not self.key or event["key"] == key_id(self.key), "OBS402", "epoch names another key")
        self.need(kind not in ("begin", "segment"), "OBS401", "a first line in the middle")

    def line(self, line, first):
        match = LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        self.need(match and int(match[1]) < 2**64, "OBS401" if self.info else "OBS500", "not a line of this format")
        seq, kind, event, tag, chain = match.groups()
        if first:
            self.first(kind, event)
        self.need(int(seq) == self.size, "OBS403", f"found sequence {int(seq)}")
        value = sha(b"\0", line[:-80], self.head)  # all but ,"chainHash":"…"}
        self.need(value.hex() == chain.decode(), "OBS401", "chainHash does not follow")
        self.need((tag is not None) == bool(self.info.get("hmac")), "OBS402", "hmac missing or unexpected")
        if self.key:
            right = mac(self.key, sha(b"\0", line[:match.end(3)], self.head)).hex()
            self.need(hmac.compare_digest(right, tag.decode()), "OBS402", "hmac is wrong")
        try:
            strict(event)
        except (ValueError, RecursionError) as error:
            self.need(False, "OBS500", f"event breaks a rule: {error}")
        try:
            self.record(kind.decode() if kind and not first else "", json.loads(event) if kind else {})
        except (KeyError, ValueError, TypeError) as error:
            self.need(False, "OBS401", f"malformed record: {error}")
        push(self.size, self.nodes, sha(b"\0", line))
        self.head, self.size = value, self.size + 1

def verify(paths, key=None):
    """Prove the files of one log, in order; return what was proven or raise Finding."""
    log, tail = Log(key), {"state": "whole"}
    for path in paths:
        log.number, log.offset = 1, 0
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            while line := file.readline(MAX_LINE + 2):
                if not line.endswith(b"\n"):  # the end of the file, or a line too long; at worst the rest is read at once
                    line += file.read()
                    log.need(b"\n" not in line, "OBS401" if log.info else "OBS500", "line too long")
                    tail = {"state": "torn" if line.strip(b"\0") else "zeroed", "offset": log.offset, "bytes": len(line)}
                    break
                log.line(line[:-1], log.number == 1)
                log.number, log.offset = log.number + 1, log.offset + len(line)
        log.need(log.number > 1, "OBS500", "no whole line")
    roots = {"head": log.head.hex(), "root": root(log.nodes).hex()}
    return {"log": log.info["log"], "size": log.size, **roots, "key_checked": bool(key), "tail": tail}

if __name__ == "__main__":
    arguments, text = sys.argv[1:], os.environ.get("WSLMON_LOG_HMAC_KEY", "")
    if arguments[:1] == ["--key-file"]:
        text, arguments = open(arguments[1]).read(), arguments[2:]
    try:
        print(json.dumps(verify(arguments, bytes.fromhex(re.sub(r"[\s:-]", "", text)) or None)))
    except Finding as finding:
        print(json.dumps(dict(zip(("code", "line", "offset", "sequence", "cause"), finding.args))))
        sys.exit(14 if finding.args[0].startswith("OBS4") else 15)
