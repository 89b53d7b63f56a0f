// SPDX-License-Identifier: Apache-2.0
//! Capture of a process tree with ptrace: from kernel stops to records. Needs no root, no hardware counters and no kernel feature
//! newer than Linux 5.3. It decides nothing about what records mean; it only follows the fetch plans of `observer-model`.

pub mod config;
pub mod error;
pub mod forward;
pub mod memory;
pub mod pinning;
pub mod procfs;
mod run;
pub mod sys;
pub mod task;
mod tracer;

pub use config::Config;
pub use error::CaptureError;
pub use run::{record_command, Report};
