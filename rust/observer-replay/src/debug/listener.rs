// SPDX-License-Identifier: Apache-2.0
//! Where a debugger is waited for: the loopback interface or a path, nothing that another machine could reach.

use crate::error::ReplayError;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often somebody who waits looks again.
pub const LOOK: Duration = Duration::from_millis(20);

/// Where a debugger is waited for.
pub enum Listener {
    /// On the loopback interface.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
}

/// A connection of either kind.
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// AF_UNIX.
    Unix(UnixStream),
}

impl Stream {
    /// Reads return at once, or wait.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_nonblocking(on),
            Stream::Unix(s) => s.set_nonblocking(on),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.read(buffer),
            Stream::Unix(s) => s.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.write(bytes),
            Stream::Unix(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens at a port of the loopback interface (0: a free one) or at a path; returns what to tell gdb.
pub fn listen(place: &str) -> Result<(Listener, String), ReplayError> {
    let what = || format!("listen for a debugger at {place}");
    if let Ok(port) = place.parse::<u16>() {
        let listener = TcpListener::bind(("127.0.0.1", port)).map_err(ReplayError::io(what()))?;
        let address = listener.local_addr().map_err(ReplayError::io(what()))?;
        return Ok((Listener::Tcp(listener), address.to_string()));
    }
    let listener = UnixListener::bind(Path::new(place)).map_err(ReplayError::io(what()))?;
    Ok((Listener::Unix(listener), place.to_owned()))
}

impl Listener {
    /// Waits for one debugger, at most so long.
    pub fn accept(&self, patience: Duration) -> io::Result<Option<Stream>> {
        let until = Instant::now() + patience;
        match self {
            Listener::Tcp(l) => l.set_nonblocking(true)?,
            Listener::Unix(l) => l.set_nonblocking(true)?,
        }
        loop {
            let got = match self {
                Listener::Tcp(l) => l.accept().map(|(s, _)| {
                    let _ = s.set_nodelay(true); // packets are small and answered one by one
                    Stream::Tcp(s)
                }),
                Listener::Unix(l) => l.accept().map(|(s, _)| Stream::Unix(s)),
            };
            match got {
                Ok(stream) => return stream.set_nonblocking(false).map(|()| Some(stream)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => std::thread::sleep(LOOK),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
}
