// SPDX-License-Identifier: Apache-2.0
//! Fuzzes the oracle `frame`: whatever the bytes, it answers, and what it accepts holds what `oracles.rs` demands.
#![no_main]
#[allow(dead_code)]
#[path = "../oracles.rs"]
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::frame(data));
