// SPDX-License-Identifier: Apache-2.0
//! Futexes and System V objects.

use super::context::{Context, Shown};
use super::flags::{name_of, show_flags};
use super::number::{hex, octal_mode};
use super::ArgClass;
use crate::generated::flags;

/// The bits of FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET.
pub(super) fn futex_bits(context: &Context<'_>, index: usize) -> Shown {
    let text = match context.low(index) {
        u32::MAX => "FUTEX_BITSET_MATCH_ANY".to_owned(),
        bits => hex(u64::from(bits)),
    };
    Shown::new(text, ArgClass::Flags, true)
}

/// The operation and comparison that FUTEX_WAKE_OP packs into one number.
pub(super) fn futex_wake_op(context: &Context<'_>, index: usize) -> Shown {
    let value = u64::from(context.low(index));
    let (operation, comparison) = (value >> 28 & 7, value >> 24 & 0xf);
    let shift = if value >> 31 == 1 { "FUTEX_OP_OPARG_SHIFT<<28|" } else { "" };
    let operation = match name_of(flags::FUTEX_WAKE_OPS.values, operation) {
        Some(name) => format!("{name}<<28"),
        None => format!("{}<<28 /* FUTEX_OP_??? */", hex(operation)),
    };
    let comparison = match name_of(flags::FUTEX_WAKE_CMPS.values, comparison) {
        Some(name) => format!("{name}<<24"),
        None => format!("{}<<24 /* FUTEX_OP_CMP_??? */", hex(comparison)),
    };
    let text = format!("{shift}{operation}|{}<<12|{comparison}|{}", hex(value >> 12 & 0xfff), hex(value & 0xfff));
    Shown::new(text, ArgClass::Flags, true)
}

/// The key of an object.
pub(super) fn key(context: &Context<'_>, index: usize) -> Shown {
    let text = match context.low(index) {
        0 => "IPC_PRIVATE".to_owned(),
        key => hex(u64::from(key)),
    };
    Shown::new(text, ArgClass::Int, true)
}

/// Flags with permission bits: `IPC_CREAT|0600`.
pub(super) fn get_flags(context: &Context<'_>, index: usize) -> Shown {
    let value = u64::from(context.low(index));
    let table = if context.call.name == "shmget" { &flags::SHM_GET_FLAGS } else { &flags::IPC_FLAGS };
    let (bits, mode) = (value & !0o777, octal_mode(value & 0o777));
    let text = if bits == 0 { mode } else { format!("{}|{mode}", show_flags(table, bits)) };
    Shown::new(text, ArgClass::Flags, true)
}
