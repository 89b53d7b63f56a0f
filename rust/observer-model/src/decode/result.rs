// SPDX-License-Identifier: Apache-2.0
//! The result: number, error with its message, address, or what the kernel's restart codes mean.

use super::context::Shown;
use super::{number, ArgClass};
use crate::names::{errno_message, errno_name};
use crate::record::{flags, SyscallRecord};
use crate::syscall::{Arch, Ret, Syscall};

/// First of the kernel's own restart codes, which a program never sees.
const FIRST_RESTART: u16 = 512;

/// Shows the result of a call.
#[allow(clippy::cast_sign_loss)]
pub(super) fn show(_arch: Arch, rec: &SyscallRecord, call: Option<&'static Syscall>) -> Shown {
    if rec.flags & flags::NO_RESULT != 0 {
        return Shown::new("?", ArgClass::Int, true);
    }
    if let Some(errno) = rec.errno() {
        return Shown::new(failure(errno), ArgClass::Int, true);
    }
    let value = rec.result as u64;
    let ret = call.map_or(Ret::Int, |known| known.ret);
    let stable = !matches!(ret, Ret::Address | Ret::Pid | Ret::Time | Ret::Id);
    let text = match ret {
        Ret::Address | Ret::Hex => number::hex(value),
        Ret::Mode => number::octal_mode(value),
        Ret::Never => "?".to_owned(),
        _ => rec.result.to_string(),
    };
    Shown::new(text, ArgClass::Int, stable)
}

/// `-1 ENOENT (No such file or directory)`, or `? ERESTARTSYS (To be restarted …)`.
fn failure(errno: u16) -> String {
    let start = if errno >= FIRST_RESTART && errno_name(errno).is_some() { "?" } else { "-1" };
    match (errno_name(errno), errno_message(errno)) {
        (Some(name), Some(message)) => format!("{start} {name} ({message})"),
        _ => format!("{start} (errno {errno})"),
    }
}
