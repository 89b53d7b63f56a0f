// SPDX-License-Identifier: Apache-2.0
//! The debugger's file requests, answered from the recording. Source: the gdb manual, "Remote Serial Protocol", Host I/O Packets.

use crate::debug::packets::{unhex, LONGEST};
use crate::debug::serve::{number, Server};
use crate::error::ReplayError;
use std::os::unix::fs::FileExt;

/// ENOENT, as the file protocol has it.
const NO_ENTRY: &str = "F-1,2";

impl Server<'_> {
    /// Files under the names that the program used, from the recording. Source: the gdb manual, "File-I/O", vFile packets.
    pub(super) fn file(&mut self, packet: &[u8]) -> Result<(), ReplayError> {
        let text = String::from_utf8_lossy(packet).into_owned();
        let mut parts = text.splitn(3, ':').skip(1);
        let (operation, arguments) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let words: Vec<&str> = arguments.split(',').collect();
        let word = |at: usize| words.get(at).copied().unwrap_or("");
        match operation {
            "setfs" => self.send("F0"),
            "open" => self.open(word(0)),
            "close" => {
                let closed = number(word(0)).and_then(|handle| self.runner.names.handles.remove(&handle));
                self.send(if closed.is_some() { "F0" } else { "F-1,9" })
            }
            "fstat" => {
                let length = number(word(0))
                    .and_then(|h| self.runner.names.handles.get(&h))
                    .and_then(|f| f.metadata().ok())
                    .map(|m| m.len());
                let Some(length) = length else { return self.send("F-1,9") };
                let mut answer = format!("F{:x};", 64).into_bytes();
                answer.extend(stat(length));
                self.send_bytes(&answer)
            }
            "pread" => self.pread([word(0), word(1), word(2)]),
            "readlink" => self.send(NO_ENTRY),
            _ => self.send(""),
        }
    }

    fn open(&mut self, path: &str) -> Result<(), ReplayError> {
        let path = unhex(path.as_bytes()).map(|p| String::from_utf8_lossy(&p).into_owned()).unwrap_or_default();
        let Some(file) = self.runner.names.file(self.runner.session, &path)? else { return self.send(NO_ENTRY) };
        let handles = &mut self.runner.names.handles;
        let handle = (1..).find(|n| !handles.contains_key(n)).unwrap_or(1);
        handles.insert(handle, file);
        self.send(&format!("F{handle:x}"))
    }

    fn pread(&mut self, words: [&str; 3]) -> Result<(), ReplayError> {
        let [Some(handle), Some(count), Some(offset)] = words.map(number) else { return self.send("F-1,22") };
        let Some(file) = self.runner.names.handles.get(&handle) else { return self.send("F-1,9") };
        let mut buffer = vec![0u8; usize::try_from(count).unwrap_or(0).min(LONGEST / 2 - 32)];
        let got = file.read_at(&mut buffer, offset).unwrap_or(0);
        let mut answer = format!("F{got:x};").into_bytes();
        answer.extend_from_slice(&buffer[..got]);
        self.send_bytes(&answer)
    }
}

/// gdb's `struct stat` of a plain file, big-endian. Source: the gdb manual, "struct stat".
fn stat(length: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let narrow: [u32; 7] = [0, 0, 0o100_644, 1, 0, 0, 0]; // dev, ino, mode, nlink, uid, gid, rdev
    narrow.iter().for_each(|word| out.extend(word.to_be_bytes()));
    [length, 4096, length.div_ceil(512)].iter().for_each(|word| out.extend(word.to_be_bytes()));
    [0u32; 3].iter().for_each(|word| out.extend(word.to_be_bytes()));
    out
}
