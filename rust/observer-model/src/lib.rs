// SPDX-License-Identifier: Apache-2.0
//! Plain structures shared by every room: syscall tables, argument decoding, records. No I/O, no unsafe.
#![forbid(unsafe_code)]

pub mod fetch;
pub mod record;

pub use fetch::{Fetch, Len, Shape};
pub use record::{flags, Blob, Record, SignalRecord, SyscallRecord, When};
