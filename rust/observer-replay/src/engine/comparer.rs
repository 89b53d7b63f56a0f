// SPDX-License-Identifier: Apache-2.0
//! Code that is put into a replayed program for a while: at one place it compares registers and a few words of memory with a
//! recorded state, at the speed of the program itself, and stops only where they are the same. Source: docs/spec/replay.md §4;
//! encodings from the processor manuals.

use crate::engine::maps::{regions, Region, PAGE};
use crate::engine::places::{Place, Text, JUMP};
use crate::regs::{index, Regs};
use iced_x86::{BlockEncoder, BlockEncoderOptions, InstructionBlock};
use observer_capture::sys::Tid;

/// A jump reaches so far, and a little less.
const REACH: u64 = 0x7000_0000;
const MIN_ADDRESS: u64 = 0x1_0000;
/// Pages of the comparer: code, and what it compares with.
pub const SIZE: u64 = 2 * PAGE;
/// General registers in the order of their numbers in instructions, as indices into [`Regs`].
pub const NUMBERED: [usize; 16] = [
    index::RAX,
    index::RCX,
    index::RDX,
    index::RBX,
    index::RSP,
    index::RBP,
    index::RSI,
    index::RDI,
    index::R8,
    index::R9,
    index::R10,
    index::R11,
    index::R12,
    index::R13,
    index::R14,
    index::R15,
];
const RSP_NUMBER: u8 = 4;
const SLOT_RAX: u64 = 0;
const SLOT_FLAGS: u64 = 8;
/// Where the floating point registers are saved to be compared, and where ST0 is in what is saved.
const SAVED: u64 = 2048;
const SAVED_ST: u64 = 32;
/// In lists of vector registers, ST0 has this number.
pub const FIRST_ST: u8 = 16;

/// What to compare with.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Registers; their rip is the place.
    pub regs: &'a Regs,
    /// Words of memory, the most telling first.
    pub words: &'a [(u64, [u8; 8])],
    /// Low halves of vector registers: number, content.
    pub vectors: &'a [(u8, u64)],
    /// Bit N: general register number N differs from one passage to the next.
    pub moving: u16,
}

/// A comparer, ready to be put in.
#[derive(Debug)]
pub struct Comparer {
    /// First address of its two pages.
    pub base: u64,
    /// Its code.
    pub code: Vec<u8>,
    /// What it compares with, for the second page.
    pub data: Vec<u8>,
    /// Address after the trap that tells of a match.
    pub matched: u64,
    /// What stands at the place meanwhile.
    pub jump: Vec<u8>,
    /// What belongs there.
    pub original: Vec<u8>,
    /// The flags count at the place.
    pub flags_count: bool,
}

/// Free addresses within reach of `rip`, with a page to spare on both sides.
fn free_near(all: &[Region], rip: u64) -> Option<u64> {
    let mut ends = vec![(0, MIN_ADDRESS)];
    ends.extend(all.iter().filter(|r| r.name != "[vsyscall]").map(|region| (region.start, region.end)));
    ends.push((1 << 47, 1 << 47));
    let gaps = ends.windows(2).map(|pair| (pair[0].1 + PAGE, pair[1].0.saturating_sub(SIZE + PAGE)));
    let places = gaps.filter(|(from, to)| from <= to).map(|(from, to)| if from > rip { from } else { to });
    places.filter(|at| at.abs_diff(rip) < REACH).min_by_key(|at| at.abs_diff(rip))
}

/// Machine code in the making.
struct Maker {
    base: u64,
    code: Vec<u8>,
    data: Vec<u8>,
    /// Where jumps to the way out are to be completed.
    out: Vec<usize>,
}

impl Maker {
    fn here(&self) -> u64 {
        self.base + self.code.len() as u64
    }

    /// A displacement to `target`, for an instruction that ends so many bytes after it.
    fn relative(&mut self, target: u64, after: u64) -> Option<()> {
        let from = self.here() + 4 + after;
        let distance = i32::try_from(target.wrapping_sub(from).cast_signed()).ok()?;
        self.code.extend(distance.to_le_bytes());
        Some(())
    }

    fn slot(&mut self, opcode: &[u8], offset: u64) -> Option<()> {
        self.code.extend(opcode);
        self.relative(self.base + PAGE + offset, 0)
    }

    fn constant(&mut self, word: u64) -> u64 {
        let at = self.data.len() as u64;
        self.data.extend(word.to_le_bytes());
        at
    }

    fn unless_equal_leave(&mut self) {
        self.code.extend([0x0f, 0x85]);
        self.out.push(self.code.len());
        self.code.extend([0; 4]);
    }

    fn compare_register(&mut self, number: u8, word: u64) -> Option<()> {
        let at = self.constant(word);
        self.slot(&[0x48 | (number >> 3) << 2, 0x3b, (number & 7) << 3 | 5], at)?;
        self.unless_equal_leave();
        Some(())
    }

    /// The first test needs no register of its own, so that most passages cost next to nothing.
    fn first_test(&mut self, wanted: &Wanted<'_>) -> Option<()> {
        if let Some(number) = (0u8..16).find(|n| wanted.moving >> n & 1 == 1) {
            return self.compare_register(number, wanted.regs.0[NUMBERED[usize::from(number)]]);
        }
        let Some((address, bytes)) = wanted.words.first() else { return Some(()) };
        let low = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let above = address.wrapping_sub(wanted.regs.rsp()).cast_signed();
        if let Some(distance) = i32::try_from(above).ok().filter(|distance| (-128..0x10_0000).contains(distance)) {
            self.compare_register(RSP_NUMBER, wanted.regs.rsp())?; // else the address might be anywhere
            self.code.extend([0x81, 0xbc, 0x24]);
            self.code.extend(distance.to_le_bytes());
            self.code.extend(low);
        } else if address.abs_diff(self.base) < REACH {
            self.code.extend([0x81, 0x3d]);
            self.relative(*address, 4)?;
            self.code.extend(low);
        } else {
            return Some(());
        }
        self.unless_equal_leave();
        Some(())
    }

    /// All the rest, in rax.
    fn whole_test(&mut self, wanted: &Wanted<'_>) -> Option<()> {
        for number in (1u8..16).filter(|n| *n != RSP_NUMBER).chain([RSP_NUMBER]) {
            self.compare_register(number, wanted.regs.0[NUMBERED[usize::from(number)]])?;
        }
        self.slot(&[0x48, 0x8b, 0x05], SLOT_RAX)?;
        self.compare_register(0, wanted.regs.0[index::RAX])?;
        for (address, bytes) in wanted.words {
            self.code.extend([0x48, 0xa1]); // mov rax, [address]
            self.code.extend(address.to_le_bytes());
            self.compare_register(0, u64::from_le_bytes(*bytes))?;
        }
        if wanted.vectors.iter().any(|(number, _)| *number >= FIRST_ST) {
            self.slot(&[0x48, 0x0f, 0xae, 0x05], SAVED)?; // fxsave64
        }
        for (number, word) in wanted.vectors {
            if let Some(stack) = number.checked_sub(FIRST_ST) {
                self.slot(&[0x48, 0x8b, 0x05], SAVED + SAVED_ST + 16 * u64::from(stack))?;
                self.compare_register(0, *word)?;
                continue;
            }
            self.code.extend([0x66, 0x48 | (number >> 3 & 1) << 2, 0x0f, 0x7e, 0xc0 | (number & 7) << 3]); // movq rax, xmm
            self.compare_register(0, *word)?;
        }
        Some(())
    }

    fn save(&mut self, flags: bool) -> Option<()> {
        self.slot(&[0x48, 0x89, 0x05], SLOT_RAX)?;
        if flags {
            self.code.extend([0x9f, 0x0f, 0x90, 0xc0]); // lahf; seto al
            self.slot(&[0x48, 0x89, 0x05], SLOT_FLAGS)?;
        }
        Some(())
    }

    fn restore(&mut self, flags: bool) -> Option<()> {
        if flags {
            self.slot(&[0x48, 0x8b, 0x05], SLOT_FLAGS)?;
            self.code.extend([0x04, 0x7f, 0x9e]); // add al, 0x7f; sahf
        }
        self.slot(&[0x48, 0x8b, 0x05], SLOT_RAX)
    }

    /// Completes the jumps that were begun: they lead here.
    fn land(&mut self, jumps: &[usize]) {
        let end = self.code.len();
        for at in jumps {
            let distance = (end - at - 4) as u32;
            self.code[*at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
    }
}

impl Comparer {
    /// The comparer for a recorded state in process `tid`; None when its place does not allow one.
    #[must_use]
    pub fn new(tid: Tid, wanted: &Wanted<'_>) -> Option<Comparer> {
        Comparer::at(tid, wanted, free_near(&regions(tid).ok()?, wanted.regs.rip())?)
    }

    /// The same with its two pages at `base`.
    #[must_use]
    pub fn at(tid: Tid, wanted: &Wanted<'_>, base: u64) -> Option<Comparer> {
        let rip = wanted.regs.rip();
        let place = Text::around(tid, rip)?.place(rip)?;
        let mut maker = Maker { base, code: Vec::new(), data: vec![0; 16], out: Vec::new() };
        let flags = place.flags_count;
        let mut first = Vec::new();
        if !flags {
            maker.first_test(wanted)?;
            first = std::mem::take(&mut maker.out);
        }
        maker.save(flags)?;
        maker.whole_test(wanted)?;
        maker.restore(flags)?;
        maker.code.push(0xcc);
        let matched = maker.here();
        maker.code.extend([0xe9, 0, 0, 0, 0]);
        let over = maker.code.len() - 4;
        let out = std::mem::take(&mut maker.out);
        maker.land(&out);
        maker.restore(flags)?;
        first.push(over);
        maker.land(&first);
        let after = rip + place.length as u64;
        let moved = moved(&place, maker.here())?;
        maker.code.extend(moved);
        maker.code.push(0xe9);
        maker.relative(after, 0)?;
        (maker.code.len() as u64 <= PAGE && maker.data.len() as u64 <= SAVED).then_some(())?;
        let jump = jump(rip, base, place.length)?;
        let mut original = vec![0u8; place.length];
        (observer_capture::sys::read_memory(tid, rip, &mut original) == place.length).then_some(())?;
        Some(Comparer { base, code: maker.code, data: maker.data, matched, jump, original, flags_count: flags })
    }
}

/// The place's own instructions, for another address; one by one, or a jump to the first would lead to the moved one.
fn moved(place: &Place, to: u64) -> Option<Vec<u8>> {
    place.instructions.iter().try_fold(Vec::new(), |mut code, instruction| {
        let one = [*instruction];
        let block = InstructionBlock::new(&one, to + code.len() as u64);
        code.extend(BlockEncoder::encode(64, block, BlockEncoderOptions::NONE).ok()?.code_buffer);
        Some(code)
    })
}

fn jump(from: u64, to: u64, length: usize) -> Option<Vec<u8>> {
    let distance = i32::try_from(to.wrapping_sub(from + JUMP as u64).cast_signed()).ok()?;
    let mut bytes = vec![0xe9];
    bytes.extend(distance.to_le_bytes());
    bytes.resize(length, 0x90);
    Some(bytes)
}
