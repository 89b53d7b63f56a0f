// SPDX-License-Identifier: Apache-2.0
//! Mechanism: ptrace, memory, calls made in a stopped thread, the stub process. Decides nothing about what to feed back.

pub mod comparer;
pub mod maps;
pub mod places;
pub mod remote;
pub mod stub;
pub mod sys;
