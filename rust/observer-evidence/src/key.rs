// SPDX-License-Identifier: Apache-2.0
//! The shared secret that signs lines.

use crate::error::EvidenceError;
use crate::hash::{to_hex, MacKey};
use std::fmt;
use zeroize::Zeroizing;

/// Fewest bytes of a key: the strength of SHA-256 itself.
pub const MIN_KEY_BYTES: usize = 32;
/// Most bytes of a key: more is surely a wrong file.
pub const MAX_KEY_BYTES: usize = 4096;

/// An HMAC key; wiped from memory when dropped and never printed.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<Vec<u8>>);

impl SecretKey {
    /// Take 32 to 4,096 bytes as a key.
    ///
    /// # Errors
    /// [`EvidenceError::KeyUnusable`] for any other length: a log is never left unsigned because its key is bad.
    pub fn new(bytes: Vec<u8>) -> Result<Self, EvidenceError> {
        let bytes = Zeroizing::new(bytes);
        if (MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&bytes.len()) {
            return Ok(Self(bytes));
        }
        let cause = format!(
            "the key has {} bytes, {MIN_KEY_BYTES} to {MAX_KEY_BYTES} are needed",
            bytes.len()
        );
        Err(EvidenceError::KeyUnusable { cause })
    }

    /// The first 8 bytes of HMAC(key, "observer-evidence-log key id") as 16 hexadecimal digits: names the key, says nothing of it.
    #[must_use]
    pub fn id(&self) -> String {
        self.mac_key()
            .map(|mac| to_hex(&mac.mac(b"observer-evidence-log key id")[..8]))
            .unwrap_or_default()
    }

    pub(crate) fn mac_key(&self) -> Option<MacKey> {
        MacKey::new(&self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
