// SPDX-License-Identifier: Apache-2.0
//! Places in a program's code where a jump can stand instead of its own instructions, so that each passage can be looked at without a
//! stop. Recorder and replayer ask the same question of the same bytes. Source: the processor manuals, through iced-x86.

use crate::engine::maps::regions;
use crate::engine::sys::read_memory;
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, RflagsBits};
use observer_capture::sys::Tid;

/// Bytes of `jmp rel32`.
pub const JUMP: usize = 5;
/// The longest instruction.
const LONGEST: usize = 15;
/// So much code on both sides is looked through for jumps to the middle of a place.
const AROUND: u64 = 16 << 10;
/// So many instructions are looked at to tell whether the flags count.
const AHEAD: usize = 12;
const ARITHMETIC: u32 = RflagsBits::OF | RflagsBits::SF | RflagsBits::ZF | RflagsBits::AF | RflagsBits::CF | RflagsBits::PF;

/// Instructions that can be moved elsewhere, with a jump in their place.
#[derive(Clone, Debug)]
pub struct Place {
    /// The instructions.
    pub instructions: Vec<Instruction>,
    /// Their bytes.
    pub length: usize,
    /// Whether the program can still read the flags as they are here.
    pub flags_count: bool,
}

/// A piece of a program's code.
#[derive(Debug)]
pub struct Text {
    start: u64,
    bytes: Vec<u8>,
}

impl Text {
    /// What is around an address.
    #[must_use]
    pub fn around(tid: Tid, rip: u64) -> Option<Text> {
        let region = regions(tid).ok()?.into_iter().find(|r| r.start <= rip && rip < r.end)?;
        let (start, end) = (region.start.max(rip.saturating_sub(AROUND)), region.end.min(rip + AROUND));
        let mut bytes = vec![0u8; usize::try_from(end - start).ok()?];
        let got = read_memory(tid, start, &mut bytes);
        bytes.truncate(got);
        Some(Text { start, bytes })
    }

    fn decoder(&self, rip: u64) -> Option<Decoder<'_>> {
        let at = usize::try_from(rip.checked_sub(self.start)?).ok()?;
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        Some(Decoder::with_ip(64, rest, rip, DecoderOptions::NONE))
    }

    /// The instruction at an address, when it lies well within this piece.
    #[must_use]
    pub fn instruction(&self, rip: u64) -> Option<Instruction> {
        let inside = self.start <= rip && rip + LONGEST as u64 <= self.start + self.bytes.len() as u64;
        let found = inside.then(|| self.decoder(rip)).flatten()?.decode();
        (!found.is_invalid()).then_some(found)
    }

    /// The place that begins at an address, if there is one.
    #[must_use]
    pub fn place(&self, rip: u64) -> Option<Place> {
        let (mut instructions, mut length) = (Vec::new(), 0);
        for instruction in self.decoder(rip)? {
            if !movable(&instruction) {
                return None;
            }
            length += instruction.len();
            let goes_on = instruction.flow_control() == FlowControl::Next;
            instructions.push(instruction);
            if length >= JUMP {
                break;
            }
            if !goes_on {
                return None;
            }
        }
        if length < JUMP || (instructions.len() > 1 && self.is_entered(rip + 1, rip + length as u64)) {
            return None;
        }
        Some(Place { instructions, length, flags_count: self.flags_count(rip) })
    }

    /// Whether a jump in this piece leads to one of the addresses.
    fn is_entered(&self, from: u64, to: u64) -> bool {
        let Some(decoder) = self.decoder(self.start) else { return true };
        decoder.into_iter().any(|instruction| {
            let near = matches!(
                instruction.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch | FlowControl::Call
            );
            near && (from..to).contains(&instruction.near_branch_target())
        })
    }

    fn flags_count(&self, rip: u64) -> bool {
        let Some(decoder) = self.decoder(rip) else { return true };
        let mut left = ARITHMETIC;
        for instruction in decoder.into_iter().take(AHEAD) {
            if instruction.rflags_read() & left != 0 {
                return true;
            }
            if sets_flags(&instruction) {
                left &= !instruction.rflags_modified();
            }
            if left == 0 {
                return false;
            }
            if instruction.flow_control() != FlowControl::Next {
                return true;
            }
        }
        true
    }
}

/// Instructions that set flags whatever their operands are; a shift by nothing, for one, leaves them.
fn sets_flags(instruction: &Instruction) -> bool {
    use Mnemonic::{Add, And, Cmp, Dec, Inc, Neg, Or, Sub, Test, Ucomisd, Ucomiss, Xor};
    matches!(instruction.mnemonic(), Add | And | Cmp | Dec | Inc | Neg | Or | Sub | Test | Ucomisd | Ucomiss | Xor)
}

/// Does the same elsewhere: no call (it would leave another return address), no trap, nothing that is repeated in itself.
fn movable(instruction: &Instruction) -> bool {
    let flow = match instruction.flow_control() {
        FlowControl::Next => true,
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
            !matches!(instruction.mnemonic(), Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne | Mnemonic::Jrcxz)
        }
        _ => false,
    };
    let traps = matches!(
        instruction.mnemonic(),
        Mnemonic::Rdtsc | Mnemonic::Rdtscp | Mnemonic::Pushfq | Mnemonic::Popfq | Mnemonic::Hlt | Mnemonic::Cpuid
    );
    flow && !traps
        && !instruction.is_invalid()
        && !instruction.has_rep_prefix()
        && !instruction.has_repne_prefix()
        && instruction.code() != Code::INVALID
}
