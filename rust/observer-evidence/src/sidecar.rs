// SPDX-License-Identifier: Apache-2.0
//! The manifest of a rotated file and the state of a live one. Spec: `docs/spec/manifest-and-chainstate.md`.

use crate::chain::ChainState;
use crate::hash::{from_hex, sha256, to_hex, Digest32, MacKey};
use crate::tree::Frontier;
use serde::{Deserialize, Serialize};

/// Name of the manifest's format.
pub const MANIFEST_FORMAT: &str = "observer-evidence-manifest";
/// Longest manifest or chainstate that is read.
pub const MAX_SIDECAR_BYTES: u64 = 64 * 1024;

/// What a rotated file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// 1.
    pub version: u64,
    /// The log's id.
    pub log: String,
    /// The log's name.
    pub origin: String,
    /// Number of the file, from 0.
    pub segment: u64,
    /// The file's name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Sequence of its first line.
    pub first_sequence: u64,
    /// Sequence of its last line.
    pub last_sequence: u64,
    /// Lines in it.
    pub entries: u64,
    /// Chain value of its last line.
    pub final_chain_hash: String,
    /// Leaves of the tree after its last line.
    pub size: u64,
    /// Root of that tree.
    pub root: String,
    /// Subtree roots of that tree, largest first.
    pub frontier: Vec<String>,
    /// SHA-256 of the manifest before; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_manifest: Option<String>,
    /// UTC time of rotation, `YYYYMMDDTHHMMSSZ`.
    pub rotated_at: String,
    /// Signed checkpoint of that tree; absent when the log signs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

impl Manifest {
    /// The manifest's bytes: compact JSON in field order and a newline.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Read a manifest. One that is not byte for byte as `encode` writes it is refused: there is one spelling.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(bytes).ok()?;
        let known = manifest.format == MANIFEST_FORMAT && manifest.version == 1;
        (known && manifest.encode() == bytes).then_some(manifest)
    }
}

/// Where a live log stands; a convenience that is never believed against the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chainstate {
    /// The log's id.
    pub log: String,
    /// Number of the live file.
    pub segment: u64,
    /// Chain and tree after the last line.
    pub state: ChainState,
    /// Lines in the live file.
    pub entries: u64,
    /// Bytes of the live file that were forced to the disk.
    pub durable: u64,
    /// Key epoch.
    pub epoch: u64,
}

impl Chainstate {
    /// The text of the file. Its first three lines are those of the original design. Signed when a key is given.
    #[must_use]
    pub fn encode(&self, key: Option<&MacKey>) -> Vec<u8> {
        let nodes: Vec<String> = self.state.tree.nodes().iter().map(|node| to_hex(node)).collect();
        let mut text = format!(
            "{}\n{}\n{}\nversion 1\nlog {}\nsegment {}\ndurable {}\nepoch {}\nfrontier {}\n",
            to_hex(&self.state.head),
            self.state.next_seq(),
            self.entries,
            self.log,
            self.segment,
            self.durable,
            self.epoch,
            nodes.join(","),
        );
        let tag = tag(text.as_bytes(), key);
        text += &format!("{} {}\n", if key.is_some() { "hmac" } else { "sha256" }, to_hex(&tag));
        text.into_bytes()
    }

    /// Read the file; the error says what is wrong with it.
    ///
    /// # Errors
    /// Not of this form, or its checksum or signature does not fit.
    pub fn parse(bytes: &[u8], key: Option<&MacKey>) -> Result<Self, &'static str> {
        let malformed = "malformed";
        let text = std::str::from_utf8(bytes).map_err(|_| malformed)?;
        let body_end = text.strip_suffix('\n').and_then(|text| text.rfind('\n')).ok_or(malformed)? + 1;
        let (name, stated) = text[body_end..].trim_end_matches('\n').split_once(' ').ok_or(malformed)?;
        let expected = if key.is_some() { "hmac" } else { "sha256" };
        if name != expected || from_hex(stated.as_bytes()) != Some(tag(&bytes[..body_end], key)) {
            return Err("its checksum or signature does not fit");
        }
        let parsed = Self::parse_body(&text[..body_end]).ok_or(malformed)?;
        if parsed.encode(key) == bytes {
            Ok(parsed)
        } else {
            Err(malformed)
        }
    }

    fn parse_body(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let head = from_hex(lines.next()?.as_bytes())?;
        let size: u64 = lines.next()?.parse().ok()?;
        let entries = lines.next()?.parse().ok()?;
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        if field("version")? != "1" {
            return None;
        }
        let log = field("log")?.to_owned();
        let segment = field("segment")?.parse().ok()?;
        let durable = field("durable")?.parse().ok()?;
        let epoch = field("epoch")?.parse().ok()?;
        let nodes = field("frontier")?.split(',').filter(|node| !node.is_empty());
        let nodes: Option<Vec<Digest32>> = nodes.map(|node| from_hex(node.as_bytes())).collect();
        let tree = Frontier::from_parts(size, nodes?)?;
        Some(Self { log, segment, state: ChainState { head, tree }, entries, durable, epoch })
    }
}

fn tag(bytes: &[u8], key: Option<&MacKey>) -> Digest32 {
    key.map_or_else(|| sha256(bytes), |key| key.mac(bytes))
}
