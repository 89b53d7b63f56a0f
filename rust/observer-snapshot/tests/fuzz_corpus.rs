// SPDX-License-Identifier: Apache-2.0
//! What coverage-guided fuzzing found worth keeping, through the parsers once more; and every bit of some of it flipped.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/oracles.rs"]
mod oracles;

use base64::Engine;
use std::path::Path;

#[test]
fn the_corpus_holds() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/snapshot-fuzz");
    for (name, oracle) in oracles::ORACLES {
        let text = std::fs::read_to_string(vectors.join(format!("{name}.base64"))).unwrap();
        let inputs: Vec<_> = text.lines().map(|line| base64::engine::general_purpose::STANDARD.decode(line).unwrap()).collect();
        assert!(inputs.len() >= 5, "{name}: {}", inputs.len());
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
