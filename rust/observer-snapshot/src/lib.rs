// SPDX-License-Identifier: Apache-2.0
//! The snapshot file: memory by page, sealed and addressed by digest. Writer, reader, verifier, cores.
//!
//! Knows no kernel and no Python; reads hostile bytes. The format is `docs/spec/snapshot.md`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod compose;
pub mod convert;
pub mod dedup;
pub mod digest;
pub mod elf_core;
pub mod error;
pub mod frame;
pub mod layout;
pub mod manifest;
pub mod node;
pub mod notes;
pub mod opened;
pub mod reader;
pub mod rules;
pub mod source;
pub mod verify;
pub mod writer;

pub use error::SnapshotError;

/// Bytes of a page in the file, whatever the machine's.
pub const PAGE: usize = 4096;
/// Pages of a node.
pub const NODE_PAGES: u64 = 1024;
/// Bytes of a node.
pub const NODE_BYTES: u64 = NODE_PAGES * PAGE as u64;
/// Most pages in one frame.
pub const FRAME_PAGES: usize = 16;
