// SPDX-License-Identifier: Apache-2.0
//! Turns recordings into what other programs read: OTLP as protobuf or JSON, Parquet tables, Perfetto traces. `docs/spec/export.md` is the contract; where code and
//! spec differ, the code is wrong. No sockets and no Python here: bytes come out, somebody else carries them.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
pub mod batch;
pub mod calls;
pub mod exporter;
pub mod json;
pub mod lines;
pub mod metrics;
pub mod perfetto;
pub mod protobuf;
pub mod redact;
pub mod rows;
pub mod signal;
pub mod source;
pub mod table;
pub mod tree;
pub mod wire;

pub use answer::{partial_success, Partial};
pub use batch::Batch;
pub use exporter::{Exporter, Options};
pub use perfetto::Timeline;
pub use redact::Redactor;
pub use signal::Form;
pub use table::Table;
