// SPDX-License-Identifier: Apache-2.0
//! What became of a call, in one word.

use observer_model::{flags, SyscallRecord};

const EPERM: u16 = 1;
const EINTR: u16 = 4;
const EACCES: u16 = 13;

/// The classes of outcome, in the order in which they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It failed for another reason than permission.
    Failed,
    /// It was refused: EPERM, EACCES, seccomp, or the embedder's policy.
    Denied,
    /// A signal interrupted it.
    Interrupted,
    /// It never returned.
    NoResult,
}

impl Outcome {
    /// All classes, in order.
    pub const ALL: [Outcome; 5] = [Outcome::Ok, Outcome::Failed, Outcome::Denied, Outcome::Interrupted, Outcome::NoResult];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["ok", "failed", "denied", "interrupted", "no_result"][self as usize]
    }

    /// The class of a captured call.
    #[must_use]
    pub fn of(call: &SyscallRecord) -> Outcome {
        if call.flags & flags::NO_RESULT != 0 {
            return Outcome::NoResult;
        }
        if call.flags & flags::SECCOMP_DENIED != 0 {
            return Outcome::Denied;
        }
        if call.flags & flags::RESTARTED != 0 {
            return Outcome::Interrupted;
        }
        match call.errno() {
            None => Outcome::Ok,
            Some(EPERM | EACCES) => Outcome::Denied,
            Some(EINTR) => Outcome::Interrupted,
            Some(_) => Outcome::Failed,
        }
    }

    /// The class of an embedder's call.
    #[must_use]
    pub fn of_json(call: &serde_json::Value) -> Outcome {
        use serde_json::Value;
        if call.get("allowed").and_then(Value::as_bool) == Some(false) {
            return Outcome::Denied;
        }
        if call.get("no_result").and_then(Value::as_bool) == Some(true) {
            return Outcome::NoResult;
        }
        match call.get("errno") {
            None | Some(Value::Null) => Outcome::Ok,
            Some(errno) if ["EPERM", "EACCES", "ENOTCAPABLE"].contains(&errno.as_str().unwrap_or("")) => Outcome::Denied,
            Some(errno) if errno.as_str() == Some("EINTR") => Outcome::Interrupted,
            Some(_) => Outcome::Failed,
        }
    }
}
