// SPDX-License-Identifier: Apache-2.0
//! Rotated files that were compressed, made plain again beside the report's other temporary files.

use crate::error::ReportError;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

/// Decompress a zstd file; returns how many bytes came out. A damaged file gives what could be saved, and the error's text.
///
/// # Errors
/// When the source cannot be opened or the target cannot be written.
pub fn unpack(from: &Path, to: &Path) -> Result<(u64, Option<String>), ReportError> {
    let source = File::open(from).map_err(|error| ReportError::io(from, "read", error))?;
    let mut reader = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(1 << 18, source))
        .map_err(|error| ReportError::io(from, "decompress", error))?;
    let mut target = File::create(to).map_err(|error| ReportError::io(to, "write", error))?;
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0u64;
    loop {
        match std::io::Read::read(&mut reader, &mut buffer) {
            Ok(0) => return Ok((total, None)),
            Ok(count) => {
                target.write_all(&buffer[..count]).map_err(|error| ReportError::io(to, "write", error))?;
                total += count as u64;
            }
            Err(error) => return Ok((total, Some(error.to_string()))),
        }
    }
}
