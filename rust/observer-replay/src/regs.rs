// SPDX-License-Identifier: Apache-2.0
//! The registers of an x86-64 thread, in the order of the kernel's `user_regs_struct`. Source: sys/user.h.

use serde::{Deserialize, Serialize};

/// Number of words in `user_regs_struct`.
pub const COUNT: usize = 27;
/// Their names, as gdb and the kernel's headers have them.
pub const NAMES: [&str; COUNT] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip",
    "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
];

/// Indices into [`Regs`].
#[allow(missing_docs)]
pub mod index {
    pub const R15: usize = 0;
    pub const R14: usize = 1;
    pub const R13: usize = 2;
    pub const R12: usize = 3;
    pub const RBP: usize = 4;
    pub const RBX: usize = 5;
    pub const R11: usize = 6;
    pub const R10: usize = 7;
    pub const R9: usize = 8;
    pub const R8: usize = 9;
    pub const RAX: usize = 10;
    pub const RCX: usize = 11;
    pub const RDX: usize = 12;
    pub const RSI: usize = 13;
    pub const RDI: usize = 14;
    pub const ORIG_RAX: usize = 15;
    pub const RIP: usize = 16;
    pub const EFLAGS: usize = 18;
    pub const RSP: usize = 19;
    pub const FS_BASE: usize = 21;
    pub const GS_BASE: usize = 22;
}
use index::{ORIG_RAX, R10, R8, R9, RAX, RCX, RDI, RDX, RIP, RSI, RSP};

/// What is compared at each call: everything the program can have put there. rax holds the number, rcx and r11 are the
/// processor's own, segment selectors never change.
pub const CHECKED: [usize; 17] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 14, 15, 16, 19, 21, 22];

/// Stands in orig_rax of a thread that leaves a boundary: the number of no call.
const LEAVING: u64 = 0x4f42_5356;

/// Register values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regs(pub [u64; COUNT]);

impl Regs {
    /// The system call's number at an entry stop.
    #[must_use]
    pub fn nr(&self) -> u32 {
        u32::try_from(self.0[ORIG_RAX] & 0xffff_ffff).unwrap_or(0)
    }

    /// Argument registers of a system call.
    #[must_use]
    pub fn args(&self) -> [u64; 6] {
        [self.0[RDI], self.0[RSI], self.0[RDX], self.0[R10], self.0[R8], self.0[R9]]
    }

    /// Sets a call's argument registers.
    pub fn set_args(&mut self, args: [u64; 6]) {
        for (at, value) in [RDI, RSI, RDX, R10, R8, R9].into_iter().zip(args) {
            self.0[at] = value;
        }
    }

    /// Instruction pointer.
    #[must_use]
    pub fn rip(&self) -> u64 {
        self.0[RIP]
    }

    /// Stack pointer.
    #[must_use]
    pub fn rsp(&self) -> u64 {
        self.0[RSP]
    }

    /// The same registers after a call that returned `result`.
    #[must_use]
    pub fn returned(mut self, result: i64) -> Regs {
        self.0[RAX] = result.cast_unsigned();
        self.0[ORIG_RAX] = u64::MAX;
        self
    }

    /// Whether a program could tell the two states apart: all but orig_rax, rcx and r11, which a system call leaves to the
    /// processor, and the selectors.
    #[must_use]
    pub fn same_state(&self, other: &Regs) -> bool {
        CHECKED.iter().all(|at| *at == ORIG_RAX || self.0[*at] == other.0[*at]) && self.0[RAX] == other.0[RAX]
    }

    /// These registers as a thread is given them that leaves a boundary. The word that tells a call from an interrupt is a mark that only
    /// the kernel sees, and loses as soon as one instruction has run: every entry by an interrupt or a fault sets it to -1. A thread
    /// whose rax looks like a restart code cannot be marked, because the kernel would take it for a call to be made again.
    #[must_use]
    pub fn leaving(mut self) -> Regs {
        if self.0[ORIG_RAX] == u64::MAX && !(-516..=-512).contains(&self.0[RAX].cast_signed()) {
            self.0[ORIG_RAX] = LEAVING;
        }
        self
    }

    /// No instruction has run since the thread had these registers and left a boundary. Registers alone do not tell: a loop that counts
    /// in memory comes by the same ones again and again.
    #[must_use]
    pub fn is_untouched(&self, now: &Regs) -> bool {
        now.same_state(self) && (now.0[ORIG_RAX] != u64::MAX || self.leaving().0[ORIG_RAX] == u64::MAX)
    }

    /// The same state between two instructions in the middle of a computation: the flags count as well.
    #[must_use]
    pub fn same_instant(&self, other: &Regs) -> bool {
        const ARITHMETIC: u64 = 0xcd5; // carry, parity, adjust, zero, sign, direction, overflow
        let words = [index::RCX, index::R11];
        self.same_state(other)
            && words.iter().all(|at| self.0[*at] == other.0[*at])
            && (self.0[index::EFLAGS] ^ other.0[index::EFLAGS]) & ARITHMETIC == 0
    }

    /// A number that stands for all checked registers (FNV-1a over their words).
    #[must_use]
    pub fn hash(&self) -> u64 {
        CHECKED.iter().fold(0xcbf2_9ce4_8422_2325, |hash, at| (hash ^ self.0[*at]).wrapping_mul(0x0100_0000_01b3))
    }

    /// After SYSCALL the processor leaves the return address in rcx.
    #[must_use]
    pub fn rcx(&self) -> u64 {
        self.0[RCX]
    }
}

/// The registers that differ from an earlier state of the same thread: their bits, and the wrapping differences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegDelta {
    /// Bit N: word N differs.
    pub mask: u32,
    /// One difference for each set bit, lowest first.
    pub changes: Vec<i64>,
}

impl RegDelta {
    /// What leads from `before` to `after`.
    #[must_use]
    pub fn between(before: &Regs, after: &Regs) -> RegDelta {
        let mut delta = RegDelta::default();
        for (at, (old, new)) in before.0.iter().zip(after.0).enumerate() {
            if *old != new {
                delta.mask |= 1 << at;
                delta.changes.push(new.wrapping_sub(*old).cast_signed());
            }
        }
        delta
    }

    /// The state it leads to from `before`.
    #[must_use]
    pub fn apply(&self, before: &Regs) -> Regs {
        let mut after = *before;
        let mut changes = self.changes.iter();
        for at in (0..COUNT).filter(|at| self.mask & (1 << at) != 0) {
            after.0[at] = after.0[at].wrapping_add(changes.next().copied().unwrap_or(0).cast_unsigned());
        }
        after
    }
}
