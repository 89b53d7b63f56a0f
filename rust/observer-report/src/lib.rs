// SPDX-License-Identifier: Apache-2.0
//! The merged report's hot loops: reads event logs of three forms, surveys them, sorts their events outside memory, writes them.
//!
//! Knows nothing of Python and judges nothing but the chain of the original form; sealed logs are judged by `observer-evidence`.
//! The contract is `docs/spec/master-report.md`.
#![forbid(unsafe_code)]

mod clock;
mod error;
mod event;
mod form;
mod index;
mod lines;
mod moment;
mod survey;
mod unpack;
mod write;

pub use clock::{BootMap, ClockMap, Knot};
pub use error::ReportError;
pub use survey::{survey, SideSurvey};
pub use unpack::unpack;
pub use write::{write_events, Side, WriteOptions, Written};
