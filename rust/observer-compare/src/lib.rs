// SPDX-License-Identifier: Apache-2.0
//! Compares two recordings: matches their process trees, aligns the calls of each pair of threads, and tells what is missing,
//! extra, changed or in another order. `docs/spec/comparison.md` is its contract.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod align;
pub mod compare;
pub mod descriptors;
pub mod names;
pub mod pairing;
pub mod report;
pub mod run;
pub mod sequence;
pub mod tokens;
pub mod tree;

pub use compare::{compare, Options};
