// SPDX-License-Identifier: Apache-2.0
//! Capture of a process tree with ptrace: from kernel stops to records.
