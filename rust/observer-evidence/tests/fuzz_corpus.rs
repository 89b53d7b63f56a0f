// SPDX-License-Identifier: Apache-2.0
//! The fuzzing corpus of this crate's parsers.

#[path = "../../../tools/fuzz/corpus.rs"]
mod corpus;
#[path = "../fuzz/oracles.rs"]
mod oracles;

#[test]
fn the_corpus_holds() {
    corpus::hold("evidence-fuzz", &oracles::ORACLES, 31);
}
