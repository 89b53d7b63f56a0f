// SPDX-License-Identifier: Apache-2.0
// Runs upstream's trace processor, a WebAssembly program made for browsers, in Node: loads a trace and prints the rows of one query as JSON.
//
// usage: node trace_processor.mjs DIRECTORY TRACE SQL      DIRECTORY has upstream's engine_bundle.js and trace_processor.wasm
//
// The bundle thinks that it is a web worker, and is given the little of one that it asks for. The wire is upstream's trace_processor.proto.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import vm from "node:vm";

const [directory, trace, sql] = process.argv.slice(2);
const STREAM_MESSAGE = 1; // TraceProcessorRpcStream.msg
const [SEQ, REQUEST, FATAL, APPEND_DATA, QUERY_ARGS, APPEND_RESULT, QUERY_RESULT] = [1, 2, 5, 101, 103, 201, 203]; // TraceProcessorRpc
const [APPEND, FINALIZE, QUERY] = [1, 2, 3]; // TraceProcessorMethod
const [NULL, VARINT, STRING] = [1, 2, 4]; // QueryResult.CellsBatch.CellType
const AT_ONCE = 8 << 20;

function worker() {
  const scope = {
    WebAssembly, TypeError, Uint8Array, TextDecoder, TextEncoder, URL, performance, setTimeout, crypto,
    console: { log() {}, warn() {}, error: console.error },
    location: { href: "file:///engine_bundle.js" },
    importScripts() {},
    WorkerGlobalScope() {},
    XMLHttpRequest: class {
      open(_method, name) {
        this.path = join(directory, basename(String(name)));
      }
      send() {
        const held = readFileSync(this.path);
        this.response = held.buffer.slice(held.byteOffset, held.byteOffset + held.length);
      }
    },
  };
  scope.self = scope;
  vm.runInNewContext(readFileSync(join(directory, "engine_bundle.js"), "utf8"), scope);
  return scope;
}

function varint(value) {
  const out = [];
  for (; value > 127; value = Math.floor(value / 128)) out.push((value % 128) | 128);
  return Buffer.from([...out, value]);
}
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field, body) => Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);

function* numbers(buffer) {
  let value = 0n, shift = 0n;
  for (const byte of buffer) {
    value |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte > 127) continue;
    yield BigInt.asIntN(64, value);
    [value, shift] = [0n, 0n];
  }
}

function* fields(buffer) {
  let at = 0;
  const next = () => {
    const begin = at;
    while (buffer[at++] > 127);
    return numbers(buffer.subarray(begin, at)).next().value;
  };
  while (at < buffer.length) {
    const key = Number(next());
    if (key % 8 === 0) yield [key >> 3, next()];
    else {
      const length = key % 8 === 1 ? 8 : Number(next());
      yield [key >> 3, buffer.subarray(at, (at += length))];
    }
  }
}

function* messages(answers) {
  for (const answer of answers) for (const [, message] of fields(answer)) yield* fields(message);
}

function* cells(batch) {
  const held = { types: [], values: [], texts: [] };
  for (const [field, part] of fields(batch)) {
    if (field === 1) held.types = [...part];
    if (field === 2) held.values = [...numbers(part)];
    if (field === 5) held.texts = part.toString().split("\0");
  }
  for (const type of held.types) {
    if (type === VARINT) yield Number(held.values.shift());
    else if (type === STRING) yield held.texts.shift();
    else if (type === NULL) yield null;
    else throw new Error(`a cell of type ${type}`);
  }
}

class TraceProcessor {
  constructor(scope) {
    this.sent = 0;
    this.port = { postMessage: (data) => this.answers.push(Buffer.from(data)) };
    scope.onmessage({ data: this.port });
  }
  ask(method, body = Buffer.alloc(0)) {
    this.answers = [];
    const message = Buffer.concat([number(SEQ, ++this.sent), number(REQUEST, method), body]);
    this.port.onmessage({ data: new Uint8Array(bytes(STREAM_MESSAGE, message)) });
    for (const [field, value] of messages(this.answers)) {
      if (field === FATAL) throw new Error(`the trace processor gave up: ${value}`);
      if (field === APPEND_RESULT) for (const [inner, text] of fields(value)) if (inner === 2) throw new Error(String(text));
    }
    return this.answers;
  }
  load(data) {
    for (let at = 0; at < data.length; at += AT_ONCE) this.ask(APPEND, bytes(APPEND_DATA, data.subarray(at, at + AT_ONCE)));
    this.ask(FINALIZE);
  }
  rows(query) {
    let width = 0;
    const found = [];
    for (const [field, result] of messages(this.ask(QUERY, bytes(QUERY_ARGS, bytes(1, Buffer.from(query)))))) {
      if (field !== QUERY_RESULT) continue;
      for (const [inner, value] of fields(result)) {
        if (inner === 1) width += 1;
        if (inner === 2) throw new Error(String(value));
        if (inner === 3) found.push(...cells(value));
      }
    }
    return Array.from({ length: found.length / width }, (_, row) => found.slice(row * width, (row + 1) * width));
  }
}

try {
  const scope = worker();
  await new Promise((done) => setTimeout(done, 0)); // the program starts when this turn of the loop is over
  const processor = new TraceProcessor(scope);
  processor.load(readFileSync(trace));
  console.log(JSON.stringify(processor.rows(sql)));
  process.exit(0);
} catch (error) {
  console.error(String(error.message).slice(0, 500));
  process.exit(1);
}
