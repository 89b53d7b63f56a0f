// SPDX-License-Identifier: Apache-2.0
//! Instructions that draw random numbers from the processor. They cannot be made to trap, so in the code that a program maps from
//! files they are replaced by `ud2`, which does; the recorder then plays them. Source: the processor manuals on RDRAND and RDSEED.

use crate::engine::sys;
use crate::regs::{index, Regs};
use crate::stream::Effect;
use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use memchr::memmem::Finder;
use observer_capture::sys::{read_memory, Tid};
use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};

/// What RDRAND and RDSEED begin with, but for prefixes; the byte after it is 0xf0 or more.
const OPCODE: [u8; 2] = [0x0f, 0xc7];
const TRAP: [u8; 2] = [0x0f, 0x0b];
const OPERAND: u8 = 0xf0;
const BLOCK: usize = 1 << 20;
/// So many bytes before a find are decoded to tell whether it is an instruction.
const BEFORE: usize = 48;
const AFTER: usize = 16;

type Key = (u64, u64, i64, i64, u64, u64);

/// Where files hold such instructions.
#[derive(Debug, Default)]
pub struct Random {
    known: HashMap<Key, Vec<u64>>,
}

/// Whether decoding from before a find comes upon such an instruction there, wherever it begins.
fn is_instruction(bytes: &[u8], at: usize) -> bool {
    let first = at.saturating_sub(BEFORE);
    let starts = first..at.saturating_sub(BEFORE / 3).max(first + 1);
    let total = starts.len();
    let found = starts.filter(|start| {
        let mut decoder = Decoder::new(64, &bytes[*start..(at + AFTER).min(bytes.len())], DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if start + decoder.position() > at {
                return matches!(instruction.mnemonic(), Mnemonic::Rdrand | Mnemonic::Rdseed);
            }
        }
        false
    });
    found.count() * 2 > total
}

impl Random {
    /// Offsets in a file, within a range of it.
    fn sites(&mut self, file: &File, meta: &Metadata, offset: u64, length: u64) -> Vec<u64> {
        let key = (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), offset, length);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let finder = Finder::new(&OPCODE);
        let (mut found, mut at, mut block) = (Vec::new(), 0, vec![0u8; BLOCK]);
        while at < length {
            let want = usize::try_from(length - at).unwrap_or(BLOCK).min(BLOCK);
            let got = file.read_at(&mut block[..want], offset + at).unwrap_or(0);
            let hits = finder.find_iter(&block[..got]).filter(|hit| block.get(hit + 2).is_some_and(|byte| *byte >= OPERAND));
            found.extend(hits.filter(|hit| is_instruction(&block[..got], *hit)).map(|hit| at + hit as u64));
            if got <= BEFORE + AFTER {
                break;
            }
            at += (got - if got == want && (at + got as u64) < length { BEFORE + AFTER } else { 0 }) as u64;
        }
        found.dedup();
        self.known.insert(key, found.clone());
        found
    }

    /// Replaces those in code that a process has just mapped from a file; what it wrote for that.
    pub fn replace(&mut self, tid: Tid, file: &File, (offset, length): (u64, u64), start: u64) -> Vec<Effect> {
        let Ok(meta) = file.metadata() else { return Vec::new() };
        let sites = self.sites(file, &meta, offset, length.min(meta.len().saturating_sub(offset)));
        if sites.is_empty() {
            return Vec::new();
        }
        let Ok(memory) = OpenOptions::new().write(true).open(format!("/proc/{tid}/mem")) else { return Vec::new() };
        let written = sites.iter().map(|site| start + site).filter(|address| memory.write_all_at(&TRAP, *address).is_ok());
        written.map(|address| Effect::Memory(address, TRAP.to_vec())).collect()
    }
}

/// Registers after the instruction at which a thread has trapped, if it is one of those.
#[must_use]
pub fn drawn(tid: Tid, regs: &Regs) -> Option<Regs> {
    let mut code = [0u8; 8];
    let got = read_memory(tid, regs.rip(), &mut code);
    let code = &code[..got];
    let prefixes = code.iter().take_while(|byte| **byte == 0x66 || **byte & 0xf0 == 0x40).count();
    let operand = *code.get(prefixes + 2).filter(|byte| code[prefixes..].starts_with(&TRAP) && **byte >= OPERAND)?;
    let rex = prefixes.checked_sub(1).map_or(0, |at| if code[at] & 0xf0 == 0x40 { code[at] } else { 0 });
    let number = usize::from(operand & 7 | (rex & 1) << 3);
    let at = crate::engine::comparer::NUMBERED[number];
    let value = sys::random();
    let mut next = *regs;
    next.0[at] = match (rex & 8 != 0, code[..prefixes].contains(&0x66)) {
        (true, _) => value,
        (false, true) => (regs.0[at] & !0xffff) | value & 0xffff,
        (false, false) => value & 0xffff_ffff,
    };
    next.0[index::EFLAGS] = (regs.0[index::EFLAGS] & !0x8d5) | 1; // carry: a number was drawn
    next.0[index::RIP] += prefixes as u64 + 3;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::is_instruction;

    #[test]
    fn bytes_within_another_instruction_are_not_one() {
        let mut code = vec![0x90; 64];
        code.extend([0x48, 0x0f, 0xc7, 0xf0, 0x73, 0xfa, 0xc3]); // rdrand rax; jnc; ret
        code.extend([0x90; 16]);
        assert!(is_instruction(&code, 65));
        let mut data = vec![0x90; 64];
        data.extend([0xb8, 0x0f, 0xc7, 0xf0, 0x00, 0xc3]); // mov eax, 0xf0c70f; ret
        data.extend([0x90; 16]);
        assert!(!is_instruction(&data, 65));
    }
}
