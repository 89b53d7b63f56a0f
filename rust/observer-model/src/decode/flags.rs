// SPDX-License-Identifier: Apache-2.0
//! Named bits and named values.

use super::number::hex;
use crate::meaning::FlagTable;

/// Where flags of memory hold the logarithm of a huge page's size. Source: asm-generic/hugetlb_encode.h.
const HUGE_SHIFT: u32 = 26;
const HUGE_MASK: u64 = 0x3f << HUGE_SHIFT;

/// `A|B|0x40`; `0x40 /* X_??? */` when nothing is known.
pub(super) fn show_flags(table: &FlagTable, value: u64) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = value & !table.mask;
    let huge = if table.huge.is_empty() { 0 } else { rest & HUGE_MASK };
    rest &= !huge;
    if !table.choices.is_empty() {
        words.push(show_choice(table, table.choices, value & table.mask));
    } else if let Some((name, _)) = table.values.iter().find(|(_, bits)| *bits == value && value == 0) {
        return (*name).to_owned();
    }
    for (name, bits) in table.values {
        if *bits != 0 && rest & bits == *bits {
            words.push((*name).to_owned());
            rest &= !bits;
        }
    }
    if rest != 0 && words.is_empty() && huge == 0 {
        return format!("{} /* {} */", hex(rest), table.unknown);
    }
    if rest != 0 {
        words.push(hex(rest));
    }
    if huge != 0 {
        words.push(format!("{}<<{}", huge >> HUGE_SHIFT, table.huge));
    }
    if words.is_empty() {
        "0".to_owned()
    } else {
        words.join("|")
    }
}

/// Name of one value, or `0x2a /* X_??? */`.
pub(super) fn show_enum(table: &FlagTable, value: u64) -> String {
    show_choice(table, table.values, value)
}

fn show_choice(table: &FlagTable, names: &[(&'static str, u64)], value: u64) -> String {
    match name_of(names, value) {
        Some(name) => name.to_owned(),
        // Tables without a mark name a few values of a plain number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
        None if table.unknown.is_empty() => (value as u32 as i32).to_string(),
        None => format!("{} /* {} */", hex(value), table.unknown),
    }
}

/// Name of a value in a list.
pub(super) fn name_of(names: &[(&'static str, u64)], value: u64) -> Option<&'static str> {
    names.iter().find(|(_, known)| *known == value).map(|(name, _)| *name)
}
