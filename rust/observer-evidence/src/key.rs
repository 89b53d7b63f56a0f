// SPDX-License-Identifier: Apache-2.0
//! The shared secret that signs lines.

use crate::error::EvidenceError;
use crate::hash::{to_hex, MacKey};
use std::fmt;
use std::sync::Arc;
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
        let cause = format!("the key has {} bytes, {MIN_KEY_BYTES} to {MAX_KEY_BYTES} are needed", bytes.len());
        Err(EvidenceError::KeyUnusable { cause })
    }

    /// The first 8 bytes of HMAC(key, "observer-evidence-log key id") as 16 hexadecimal digits: names the key, says nothing of it.
    #[must_use]
    pub fn id(&self) -> String {
        to_hex(&self.mac_key().mac(b"observer-evidence-log key id")[..8])
    }

    /// The key of the next epoch: HKDF-SHA256 with the log's id as salt. Nothing leads back from it.
    #[must_use]
    pub fn next_epoch(&self, log: &[u8; 16]) -> Self {
        let expand = MacKey::new(&MacKey::new(log).mac(&self.0));
        Self(Zeroizing::new(expand.mac(b"observer-evidence-log/v1 epoch\x01").to_vec()))
    }

    /// The key's bytes, for whoever has to keep it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn mac_key(&self) -> MacKey {
        MacKey::new(&self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// The keys of a log's epochs, worked out from the first as far as they were asked for.
pub(crate) struct KeyRing {
    log: [u8; 16],
    first_epoch: u64,
    last: SecretKey,
    keys: Vec<Arc<EpochKey>>,
}

/// One epoch's key, ready for use.
pub(crate) struct EpochKey {
    pub(crate) id: String,
    pub(crate) mac: MacKey,
}

impl KeyRing {
    /// A ring whose first key is that of `epoch`, where `key` is that of epoch 0.
    pub(crate) fn new(key: &SecretKey, log: [u8; 16], epoch: u64) -> Self {
        let mut last = key.clone();
        for _ in 0..epoch {
            last = last.next_epoch(&log);
        }
        let first = Arc::new(EpochKey { id: last.id(), mac: last.mac_key() });
        Self { log, first_epoch: epoch, last, keys: vec![first] }
    }

    /// The keys from `epoch` on, `count` of them.
    pub(crate) fn from(&mut self, epoch: u64, count: usize) -> Vec<Arc<EpochKey>> {
        let skip = usize::try_from(epoch - self.first_epoch).unwrap_or(usize::MAX);
        while self.keys.len() < skip.saturating_add(count) {
            self.last = self.last.next_epoch(&self.log);
            self.keys.push(Arc::new(EpochKey { id: self.last.id(), mac: self.last.mac_key() }));
        }
        self.keys.iter().skip(skip).take(count).cloned().collect()
    }
}
