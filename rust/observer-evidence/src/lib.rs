// SPDX-License-Identifier: Apache-2.0
//! The sealed log: writing, reading and verifying tamper-evident lines. Knows nothing of Python or of syscalls.
#![forbid(unsafe_code)]
