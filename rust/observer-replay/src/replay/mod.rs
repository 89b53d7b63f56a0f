// SPDX-License-Identifier: Apache-2.0
//! Replays a recording, event by event: the policy of what to feed back, above the engine's mechanism.

pub mod apply;
pub mod body;
pub mod checkpoint;
pub mod divergence;
pub mod files;
pub mod limits;
pub mod listing;
pub mod lives;
pub mod search;
pub mod session;
pub mod source;
pub mod what_if;
