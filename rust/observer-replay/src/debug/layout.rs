// SPDX-License-Identifier: Apache-2.0
//! Registers as gdb has them for x86-64 Linux. Source: the gdb manual, "Standard Target Features", "i386 Features".

use crate::regs::{index, Regs};

/// Indices into `Regs` of the 24 core registers in gdb's order, and their bytes.
const CORE: [(usize, usize); 24] = [
    (index::RAX, 8),
    (index::RBX, 8),
    (index::RCX, 8),
    (index::RDX, 8),
    (index::RSI, 8),
    (index::RDI, 8),
    (index::RBP, 8),
    (index::RSP, 8),
    (index::R8, 8),
    (index::R9, 8),
    (index::R10, 8),
    (index::R11, 8),
    (index::R12, 8),
    (index::R13, 8),
    (index::R14, 8),
    (index::R15, 8),
    (index::RIP, 8),
    (index::EFLAGS, 4),
    (17, 4),
    (20, 4),
    (23, 4),
    (24, 4),
    (25, 4),
    (26, 4),
];
const NAMES: [&str; 24] = [
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
    "eflags", "cs", "ss", "ds", "es", "fs", "gs",
];
const FPU: [&str; 8] = ["fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"];
/// After the core: 8 of the FPU's stack, 8 of its control words, 16 vectors, mxcsr.
const TAIL: [usize; 3] = [index::ORIG_RAX, index::FS_BASE, index::GS_BASE];

/// The description that gdb asks for (qXfer:features).
#[must_use]
pub fn target_xml() -> String {
    let mut core = String::new();
    for (name, (_, size)) in NAMES.iter().zip(CORE) {
        let kind = match *name {
            "rip" => "code_ptr",
            "rsp" | "rbp" => "data_ptr",
            _ if size == 4 => "int32",
            _ => "int64",
        };
        core.push_str(&format!("<reg name=\"{name}\" bitsize=\"{}\" type=\"{kind}\"/>", size * 8));
    }
    (0..8).for_each(|n| core.push_str(&format!("<reg name=\"st{n}\" bitsize=\"80\" type=\"i387_ext\"/>")));
    FPU.iter().for_each(|name| core.push_str(&format!("<reg name=\"{name}\" bitsize=\"32\" type=\"int\" group=\"float\"/>")));
    let vectors: String = (0..16).map(|n| format!("<reg name=\"xmm{n}\" bitsize=\"128\" type=\"uint128\"/>")).collect();
    format!(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>i386:x86-64</architecture>\
         <osabi>GNU/Linux</osabi><feature name=\"org.gnu.gdb.i386.core\">{core}</feature>\
         <feature name=\"org.gnu.gdb.i386.sse\">{vectors}<reg name=\"mxcsr\" bitsize=\"32\" type=\"int\" group=\"vector\"/></feature>\
         <feature name=\"org.gnu.gdb.i386.linux\"><reg name=\"orig_rax\" bitsize=\"64\" type=\"int\" group=\"system\"/></feature>\
         <feature name=\"org.gnu.gdb.i386.segments\"><reg name=\"fs_base\" bitsize=\"64\" type=\"int\"/>\
         <reg name=\"gs_base\" bitsize=\"64\" type=\"int\"/></feature></target>"
    )
}

/// All registers in the order of the description; `fx` is the FXSAVE area. Source: Intel SDM vol. 1, 10.5.1.
#[must_use]
pub fn all(regs: &Regs, fx: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(600);
    for (at, size) in CORE {
        out.extend_from_slice(&regs.0[at].to_le_bytes()[..size]);
    }
    let part = |from: usize, length: usize| fx.get(from..from + length).map_or_else(|| vec![0; length], <[u8]>::to_vec);
    (0..8).for_each(|n| out.extend(part(32 + n * 16, 10)));
    for (from, length) in [(0, 2), (2, 2), (4, 1), (12, 2), (8, 4), (20, 2), (16, 4), (6, 2)] {
        let mut word = part(from, length);
        word.resize(4, 0);
        out.extend(word);
    }
    (0..16).for_each(|n| out.extend(part(160 + n * 16, 16)));
    out.extend(part(24, 4));
    TAIL.iter().for_each(|at| out.extend_from_slice(&regs.0[*at].to_le_bytes()));
    out
}

/// Where register `number` lies in [`all`], and in `Regs` when it is a general one.
#[must_use]
pub fn place(number: usize) -> Option<(std::ops::Range<usize>, Option<usize>)> {
    let core: usize = CORE.iter().map(|(_, size)| size).sum();
    let range = |from: usize, length: usize| from..from + length;
    match number {
        0..=23 => {
            let from = CORE[..number].iter().map(|(_, size)| size).sum();
            Some((range(from, CORE[number].1), Some(CORE[number].0)))
        }
        24..=31 => Some((range(core + (number - 24) * 10, 10), None)),
        32..=39 => Some((range(core + 80 + (number - 32) * 4, 4), None)),
        40..=55 => Some((range(core + 112 + (number - 40) * 16, 16), None)),
        56 => Some((range(core + 112 + 256, 4), None)),
        57..=59 => Some((range(core + 372 + (number - 57) * 8, 8), Some(TAIL[number - 57]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{all, place};
    use crate::regs::{Regs, COUNT};

    #[test]
    fn every_general_register_is_where_its_place_says() {
        let mut regs = Regs::default();
        (0..COUNT).for_each(|at| regs.0[at] = 0x0101_0101_0101_0101 * (at as u64 + 1));
        let bytes = all(&regs, &[]);
        for number in 0..60 {
            if let Some((range, Some(at))) = place(number) {
                assert_eq!(bytes[range.clone()], regs.0[at].to_le_bytes()[..range.len()]);
            }
        }
        assert_eq!(place(59).map(|found| found.0.end), Some(bytes.len()));
        assert!(place(60).is_none());
    }
}
