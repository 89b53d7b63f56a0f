// SPDX-License-Identifier: Apache-2.0
//! The recording container: segments of compressed chunks whose digests are lines of a sealed log.
#![forbid(unsafe_code)]
