// SPDX-License-Identifier: Apache-2.0
//! A replay under a debugger: breakpoints at instructions, single steps, and gdb's remote protocol above them.

mod backwards;
pub mod files;
mod host_files;
pub mod layout;
pub mod listener;
pub mod packets;
pub mod runner;
pub mod serve;

pub use listener::{listen, Listener};
pub use serve::serve;
