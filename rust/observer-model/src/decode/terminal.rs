// SPDX-License-Identifier: Apache-2.0
//! Terminal settings, whose flag words hold both bits and small numbers.

use super::context::{read_uint, Context, Shown};
use super::flags::{name_of, show_flags};
use super::number::hex;
use super::ArgClass;
use crate::generated::flags;
use crate::meaning::{Dir, FlagTable};

/// Parts of a flag word that are numbers: mask, and the table that names their values.
type Parts = &'static [(u64, &'static FlagTable)];

static OUTPUT: Parts = &[
    (0o400, &flags::TERMIOS_NL),
    (0o3000, &flags::TERMIOS_CR),
    (0o14_000, &flags::TERMIOS_TAB),
    (0o20_000, &flags::TERMIOS_BS),
    (0o40_000, &flags::TERMIOS_VT),
    (0o100_000, &flags::TERMIOS_FF),
];
static CONTROL: Parts = &[(0o10_017, &flags::TERMIOS_BAUD), (0o60, &flags::TERMIOS_CS)];

/// `{c_iflag=ICRNL|IXON, c_oflag=…, c_cflag=…, c_lflag=…, ...}`.
pub(super) fn termios(context: &Context<'_>, index: usize, dir: Dir) -> Option<Shown> {
    let bytes = &context.part(index, dir.when(), 0)?.bytes;
    let word = |number: usize| read_uint(bytes, number * 4, 4);
    let text = format!(
        "{{c_iflag={}, c_oflag={}, c_cflag={}, c_lflag={}, ...}}",
        show_flags(&flags::TERMIOS_IFLAG, word(0)?),
        mixed(OUTPUT, &flags::TERMIOS_OFLAG, word(1)?),
        mixed(CONTROL, &flags::TERMIOS_CFLAG, word(2)?),
        show_flags(&flags::TERMIOS_LFLAG, word(3)?),
    );
    Some(Shown::new(text, ArgClass::Struct, dir == Dir::In))
}

fn mixed(parts: Parts, bits: &FlagTable, word: u64) -> String {
    let mut rest = word;
    let mut words = Vec::new();
    for (mask, table) in parts {
        rest &= !mask;
        words.push(name_of(table.values, word & mask).map_or_else(|| hex(word & mask), str::to_owned));
    }
    if rest != 0 {
        words.push(show_flags(bits, rest));
    }
    words.join("|")
}
