// SPDX-License-Identifier: Apache-2.0
//! Names and messages of error numbers and signals, as the C library and the kernel's headers have them.

use crate::generated::names::{ERRORS, SIGNALS};

type Row = (u16, &'static str, &'static str);

fn find(table: &'static [Row], number: u16) -> Option<&'static Row> {
    let at = table.binary_search_by_key(&number, |row| row.0).ok()?;
    table.get(at)
}

/// Name of an error number: 2 is `ENOENT`. 512 and up are the kernel's restart codes, which only tracers see.
#[must_use]
pub fn errno_name(number: u16) -> Option<&'static str> {
    find(ERRORS, number).map(|row| row.1)
}

/// What the C library says of an error number: 2 is `No such file or directory`.
#[must_use]
pub fn errno_message(number: u16) -> Option<&'static str> {
    find(ERRORS, number).map(|row| row.2)
}

/// Name of a signal: 9 is `SIGKILL`, 32 and up are `SIGRT_0` and so on to 64.
#[must_use]
pub fn signal_name(number: u32) -> Option<String> {
    match number {
        1..=31 => find(SIGNALS, u16::try_from(number).unwrap_or(0)).map(|row| row.1.to_owned()),
        32 => Some("SIGRTMIN".to_owned()),
        33..=64 => Some(format!("SIGRT_{}", number - 32)),
        _ => None,
    }
}

/// Number of a signal with that name (with `SIG`).
#[must_use]
pub fn signal_number(name: &str) -> Option<u32> {
    (1..=64).find(|number| signal_name(*number).as_deref() == Some(name))
}
