// SPDX-License-Identifier: Apache-2.0
//! What coverage-guided fuzzing found worth keeping, through the parsers once more: whole, cut short, and with bits flipped. Each
//! crate with fuzzed parsers includes this file in its tests.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use std::path::Path;

/// What must hold for any bytes.
pub type Oracle = fn(&[u8]);

/// Hold every oracle to its corpus in tests/vectors/`folder`, of at least so many inputs.
pub fn hold(folder: &str, oracles: &[(&str, Oracle)], least: usize) {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(folder);
    for (name, oracle) in oracles {
        let text = std::fs::read_to_string(vectors.join(format!("{name}.base64"))).unwrap();
        let inputs: Vec<_> = text.lines().map(|line| base64::engine::general_purpose::STANDARD.decode(line).unwrap()).collect();
        assert!(inputs.len() >= least, "{name}: {}", inputs.len());
        for (number, input) in inputs.iter().enumerate() {
            oracle(input);
            oracle(&input[..input.len() / 2]);
            let mut mutant = input.clone();
            for at in (number % 59..input.len()).step_by(59) {
                mutant[at] ^= 1 << (number % 8);
                oracle(&mutant);
                mutant[at] = input[at];
            }
        }
    }
}
