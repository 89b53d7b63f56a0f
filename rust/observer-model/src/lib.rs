// SPDX-License-Identifier: Apache-2.0
//! Plain structures shared by every room: syscall tables, argument decoding, records. No I/O, no unsafe.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod condition;
pub mod decode;
pub mod fetch;
pub mod generated;
pub mod listing;
pub mod meaning;
pub mod names;
pub mod record;
pub mod syscall;

pub use decode::{decode, ArgClass, Decoded, DecodedArg};
pub use fetch::{Cond, Fetch, Len, Shape};
pub use meaning::{Arg, ArgType, Ret};
pub use names::{errno_message, errno_name, signal_name, signal_number};
pub use record::{flags, Blob, Record, SignalRecord, SyscallRecord, When};
pub use syscall::{all, by_name, lookup, Arch, Classes, Depth, Syscall};
