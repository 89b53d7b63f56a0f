// SPDX-License-Identifier: Apache-2.0
//! What must hold for any bytes whatever, one function per parser of hostile input. The fuzzer calls them with what it makes up,
//! `tests/fuzz_corpus.rs` with what the fuzzer once found worth keeping.

use observer_evidence::{
    check_event, parse_line, verify_inclusion, Chainstate, Checkpoint, Cosigner, Manifest, Note, NoteSigner, RecordProof,
    SigningSeed, VerifierKey,
};
use sha2::Digest;
use std::sync::OnceLock;

/// A parser of hostile bytes and what must hold for it.
pub type Oracle = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const ORACLES: [(&str, Oracle); 5] =
    [("line", line), ("manifest", manifest), ("chainstate", chainstate), ("checkpoint", checkpoint), ("proof", proof)];

/// A line: its parts lie in it one after the other; an event that is allowed is JSON to an independent parser too.
pub fn line(data: &[u8]) {
    let event = match parse_line(data) {
        Ok(parsed) => {
            let seq = parsed.seq.to_string();
            let kind = parsed.kind.map(|kind| format!(",\"kind\":\"{kind}\"")).unwrap_or_default();
            let mac = parsed.hmac.map(|mac| [&b",\"hmac\":\""[..], mac, b"\""].concat()).unwrap_or_default();
            let head = format!("{{\"seq\":{seq}{kind},\"event\":").into_bytes();
            let again = [&head, parsed.event, &mac, b",\"chainHash\":\"", parsed.chain, b"\"}"].concat();
            assert_eq!(again, data, "a line has another spelling");
            assert!(parsed.chain_bytes().is_some() && parsed.hmac.is_some() == parsed.hmac_bytes().is_some());
            parsed.event
        }
        Err(_) => data,
    };
    if check_event(event).is_ok() {
        let value = serde_json::from_slice::<serde_json::Value>(event);
        assert!(value.is_ok_and(|value| value.is_object()), "allowed what another parser refuses");
        assert!(event.iter().all(|&b| b >= 0x20), "allowed a control byte");
    }
}

/// A manifest has one spelling.
pub fn manifest(data: &[u8]) {
    if let Some(manifest) = Manifest::parse(data) {
        assert_eq!(manifest.encode(), data);
    }
}

/// A chainstate has one spelling.
pub fn chainstate(data: &[u8]) {
    // As it is, and with the checksum that fits, which the fuzzer would never find.
    let sum = observer_evidence::to_hex(&sha2::Sha256::digest(data));
    for bytes in [data.to_vec(), [data, b"sha256 ", sum.as_bytes(), b"\n"].concat()] {
        if let Ok(state) = Chainstate::parse(&bytes, None) {
            assert_eq!(state.encode(None), bytes);
        }
    }
}

fn signer() -> Option<&'static NoteSigner> {
    static SIGNER: OnceLock<Option<NoteSigner>> = OnceLock::new();
    SIGNER.get_or_init(|| NoteSigner::new("example.org/fuzz", &SigningSeed::new([9; 32])).ok()).as_ref()
}

fn cosigner() -> Option<&'static (Cosigner, VerifierKey)> {
    static COSIGNER: OnceLock<Option<(Cosigner, VerifierKey)>> = OnceLock::new();
    let make = || {
        let cosigner = Cosigner::new("example.org/fuzz", &SigningSeed::new([9; 32])).ok()?;
        let key = VerifierKey::parse(&cosigner.verifier_key()).ok()?;
        Some((cosigner, key))
    };
    COSIGNER.get_or_init(make).as_ref()
}

/// Notes, checkpoints and verifier keys.
pub fn checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(VerifierKey::parse(&key.text()).as_ref(), Ok(&key), "a key does not come back");
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        let plain = checkpoint.text();
        assert!(text.starts_with(plain.trim_end_matches('\n')), "a checkpoint has another spelling");
        assert_eq!(Checkpoint::parse(&plain), Ok(checkpoint));
    }
    let Ok(note) = Note::parse(text) else { return };
    assert!(note.text.ends_with('\n') && !note.signatures.is_empty());
    let Some(signer) = signer() else { return };
    if let Ok(key) = VerifierKey::parse(&signer.verifier_key()) {
        let honest = signer.sign(note.text);
        let genuine = honest.lines().next_back().is_some_and(|line| text.contains(line));
        assert!(key.verify(&note).is_err() || genuine, "forged a signature");
    }
    let Some((cosigner, key)) = cosigner() else { return };
    if let Ok(Some(seconds)) = key.verify(&note) {
        let honest = Checkpoint::parse(note.text).ok().and_then(|checkpoint| cosigner.cosign(&checkpoint, seconds));
        // Signing is deterministic; another signature of the same would be one that the key's owner did not make.
        assert!(honest.is_some_and(|line| text.contains(line.trim_end())), "forged an ML-DSA-44 signature");
    }
}

/// A proof comes back as it was read, and proves nothing of a leaf that is not in the tree.
pub fn proof(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(proof) = RecordProof::parse(text) {
        let again = RecordProof::parse(&proof.encode());
        assert_eq!(again.as_ref(), Ok(&proof), "a proof does not come back");
        for size in [proof.index.saturating_add(1), u64::MAX] {
            assert!(!verify_inclusion(&[1; 32], proof.index, size, &proof.hashes, &[0; 32]));
        }
    }
}
