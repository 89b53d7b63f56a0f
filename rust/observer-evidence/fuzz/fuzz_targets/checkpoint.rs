// SPDX-License-Identifier: Apache-2.0
#![no_main]
#[allow(dead_code)]
#[path = "../oracles.rs"]
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::checkpoint(data));
