// SPDX-License-Identifier: Apache-2.0
//! Arguments with a decoder of their own, by family.

use super::context::{Context, Shown};
use super::number;
use crate::syscall::Special;

/// Shows a special argument; None leaves it out.
pub(super) fn show(context: &Context<'_>, index: usize, special: Special) -> Option<Shown> {
    let _ = special;
    Some(number::address(context.arg(index)))
}
