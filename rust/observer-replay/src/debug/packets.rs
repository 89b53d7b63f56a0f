// SPDX-License-Identifier: Apache-2.0
//! Frames of gdb's remote serial protocol: `$data#checksum`. Source: the gdb manual, appendix "Remote Serial Protocol", Overview.

use std::io::{self, Read, Write};

/// Longest packet in either direction, as told to gdb.
pub const LONGEST: usize = 16 * 1024;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A command.
    Packet(Vec<u8>),
    /// Ctrl-C.
    Interrupt,
    /// The other side is gone.
    Closed,
}

/// A connection to gdb.
pub struct Connection<S> {
    stream: S,
    waiting: Vec<u8>,
    acknowledges: bool,
}

impl<S: Read + Write> Connection<S> {
    /// Takes over a stream.
    pub fn new(stream: S) -> Connection<S> {
        Connection { stream, waiting: Vec::new(), acknowledges: true }
    }

    /// The stream itself.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// No acknowledgements from now on (QStartNoAckMode).
    pub fn stop_acknowledging(&mut self) {
        self.acknowledges = false;
    }

    /// The next command; a read that would block ends with an error of that kind.
    pub fn read(&mut self) -> io::Result<Input> {
        loop {
            if let Some(input) = self.take()? {
                return Ok(input);
            }
            let mut buffer = [0u8; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Input::Closed),
                Ok(got) => self.waiting.extend_from_slice(&buffer[..got]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            if self.waiting.len() > 4 * LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet of the debugger is too long"));
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Input>> {
        loop {
            match self.waiting.first() {
                None => return Ok(None),
                Some(0x03) => {
                    self.waiting.remove(0);
                    return Ok(Some(Input::Interrupt));
                }
                Some(b'$') => {}
                Some(_) => {
                    self.waiting.remove(0); // acknowledgements and noise
                    continue;
                }
            }
            let Some(end) = self.waiting.iter().position(|b| *b == b'#') else { return Ok(None) };
            if self.waiting.len() < end + 3 {
                return Ok(None);
            }
            let data = self.waiting[1..end].to_vec();
            let told = std::str::from_utf8(&self.waiting[end + 1..end + 3]).ok().and_then(|t| u8::from_str_radix(t, 16).ok());
            self.waiting.drain(..end + 3);
            let good = told == Some(sum(&data));
            if self.acknowledges {
                self.stream.write_all(if good { b"+" } else { b"-" })?;
            }
            if good {
                return Ok(Some(Input::Packet(unescape(&data))));
            }
        }
    }

    /// Sends an answer.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        let data = escape(data);
        let mut frame = Vec::with_capacity(data.len() + 4);
        frame.push(b'$');
        frame.extend_from_slice(&data);
        frame.extend_from_slice(format!("#{:02x}", sum(&data)).as_bytes());
        self.stream.write_all(&frame)?;
        self.stream.flush()
    }
}

fn sum(data: &[u8]) -> u8 {
    data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte))
}

fn escape(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for byte in data {
        if matches!(byte, b'#' | b'$' | b'}' | b'*') {
            out.extend([b'}', byte ^ 0x20]);
        } else {
            out.push(*byte);
        }
    }
    out
}

fn unescape(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut bytes = data.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'}' => out.extend(bytes.next().map(|next| next ^ 0x20)),
            other => out.push(*other),
        }
    }
    out
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits as bytes; None when they are not.
#[must_use]
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|p| p.len() == 2));
    digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{escape, unescape, unhex, Connection, Input};
    use std::io::Cursor;

    #[test]
    fn escaping_is_undone() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&every)), every);
    }

    #[test]
    fn hostile_frames_are_refused_or_skipped() {
        let mut connection = Connection::new(Cursor::new(b"++junk$g#00$g#67\x03".to_vec()));
        assert_eq!(connection.read().ok(), Some(Input::Packet(b"g".to_vec())));
        assert_eq!(unhex(b"0g"), None);
        assert_eq!(unhex(b"012"), None);
    }
}
