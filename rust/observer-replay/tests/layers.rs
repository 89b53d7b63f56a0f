// SPDX-License-Identifier: Apache-2.0
//! Mechanism knows no policy: what moves registers and memory decides nothing about what a replay is fed with.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

#[test]
fn the_engine_uses_neither_recorder_nor_replayer() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let files: Vec<_> = fs::read_dir(engine).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 3, "the engine has moved: this test looks at nothing");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for policy in ["crate::record", "crate::replay", "crate::effects"] {
            assert!(!text.contains(policy), "{} uses {policy}", file.display());
        }
    }
}
