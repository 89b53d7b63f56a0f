// SPDX-License-Identifier: Apache-2.0
//! Records a program so that it can be executed again, exactly, with nothing but the recording, and replays it: on machines without
//! hardware counters, as an ordinary user, isolated from the world. `docs/spec/replay.md` is the contract.

pub mod against;
pub mod debug;
pub mod effects;
pub mod engine;
pub mod error;
pub mod machine;
pub mod pool;
pub mod record;
pub mod regs;
pub mod replay;
pub mod stream;

pub use error::ReplayError;
pub use record::run::record_command;
