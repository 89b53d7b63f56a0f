// SPDX-License-Identifier: Apache-2.0
//! Watches what already runs with eBPF: loads the probe (`bpf/`), takes its messages and seals them in the same recordings as
//! the ptrace engine's, decoded by the same tables. Needs CAP_BPF and CAP_PERFMON, and a kernel with BTF (5.10 or later).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod abi;
pub mod cgroups;
pub mod command;
pub mod config;
pub mod error;
pub mod feed;
pub mod kernel;
pub mod lanes;
pub mod lives;
pub mod losses;
pub mod missing;
pub mod output;
pub mod past;
pub mod plan;
pub mod priority;
pub mod session;
pub mod stock;
pub mod trigger;

pub use config::Config;
pub use error::ProbeError;
pub use session::{Report, Session};
