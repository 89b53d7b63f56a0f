// SPDX-License-Identifier: Apache-2.0
//! The recording container: segments of compressed chunks whose digests are lines of a sealed log. `docs/spec/recording.md` is
//! its contract; where code and spec differ, the code is wrong.
#![forbid(unsafe_code)]

pub mod background;
pub mod chunk;
pub mod codec;
mod decode;
pub mod digest;
pub mod dna;
mod encode;
pub mod error;
pub mod measures;
pub mod outcome;
pub mod query;
pub mod reader;
mod row;
pub mod segment;
pub mod typed;
pub mod typed_codec;
pub mod varint;
pub mod verify;
pub mod writer;

pub use background::Recorder;
pub use error::RecordingError;
pub use reader::RecordingReader;
pub use verify::{verify_recording, RecordingProof};
pub use writer::{Batch, Packed, RecordingWriter};
