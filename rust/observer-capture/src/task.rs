// SPDX-License-Identifier: Apache-2.0
//! What the tracer knows of each thread, and the lines it writes when one begins, executes or ends.

use crate::sys::Tid;
use observer_model::SyscallRecord;

/// A traced thread.
#[derive(Debug, Default)]
pub struct Task {
    /// Process (thread group) it belongs to.
    pub pid: Tid,
    /// Parent process.
    pub parent: Tid,
    /// The call it is in.
    pub call: Option<Box<SyscallRecord>>,
    /// It chose its own CPUs; pinning leaves it alone.
    pub own_affinity: bool,
}

impl Task {
    /// A thread of process `pid`.
    #[must_use]
    pub fn new(pid: Tid, parent: Tid) -> Task {
        Task { pid, parent, ..Task::default() }
    }
}

/// How a new thread came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The recorder started it.
    Initial,
    /// fork(2) or a clone that looks like it.
    Fork,
    /// vfork(2).
    Vfork,
    /// clone(2).
    Clone,
    /// clone3(2).
    Clone3,
}

impl How {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            How::Initial => "initial",
            How::Fork => "fork",
            How::Vfork => "vfork",
            How::Clone => "clone",
            How::Clone3 => "clone3",
        }
    }
}
