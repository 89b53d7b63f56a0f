// SPDX-License-Identifier: Apache-2.0
//! Every parser of the room on the same bytes: line, event, note, checkpoint, proof, verifier key, manifest, chainstate.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_evidence::{check_event, parse_line, Chainstate, Checkpoint, Manifest, Note, RecordProof, VerifierKey};

fuzz_target!(|data: &[u8]| {
    for line in data.split(|&b| b == b'\n') {
        let event = parse_line(line).map_or(line, |parsed| parsed.event);
        if check_event(event).is_ok() {
            assert!(serde_json::from_slice::<serde_json::Value>(event).is_ok(), "accepted what another parser refuses");
        }
    }
    let _ = (Manifest::parse(data).is_some(), Chainstate::parse(data, None).is_ok());
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(note) = Note::parse(text) {
            let _ = Checkpoint::parse(note.text).is_ok();
        }
        if let Ok(proof) = RecordProof::parse(text) {
            assert!(RecordProof::parse(&proof.encode()).is_ok_and(|again| again == proof), "a proof does not come back");
        }
        let _ = (VerifierKey::parse(text).is_ok(), Checkpoint::parse(text).is_ok());
    }
});
