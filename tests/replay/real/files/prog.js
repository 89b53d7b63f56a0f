const fs = require("fs"), crypto = require("crypto"), http = require("http");
console.log(Date.now(), Math.random(), crypto.randomBytes(4).toString("hex"), process.pid);
fs.readFile("/etc/passwd", (e, d) => console.log(d.length));
crypto.pbkdf2("a", "b", 2000, 16, "sha256", (e, k) => console.log(k.toString("hex")));
const server = http.createServer((q, s) => s.end("answer " + q.url)).listen(0, "127.0.0.1", () =>
  http.get({ port: server.address().port, host: "127.0.0.1", path: "/x" }, (s) => { s.on("data", (d) => console.log("" + d)); s.on("end", () => server.close()); }));
setTimeout(() => console.log(process.hrtime.bigint()), 5);
