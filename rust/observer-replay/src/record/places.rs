// SPDX-License-Identifier: Apache-2.0
//! A state in the middle of a computation that makes progress, described so that a replay can find it at the program's own speed: a
//! place where a jump can stand, the registers there, and what the computation has just written.

use crate::engine::comparer::{FIRST_ST, NUMBERED};
use crate::engine::places::Text;
use crate::engine::{maps, sys};
use crate::error::ReplayError;
use crate::record::outputs::bytes_at;
use crate::record::spins::{Found, Ran};
use crate::record::tracer::Tracer;
use crate::regs::{index, Regs};
use crate::stream::Point;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register};
use observer_capture::sys::{read_memory, Tid};
use std::time::Instant;

/// So many instructions are followed one by one.
const STEPS: u32 = 160;
/// For so many the best place is looked for.
const CHOICE: u32 = 24;
/// Words that are kept.
const WORDS: usize = 8;
const VECTORS: usize = 4;
/// Words that were seen to change are followed to so many pages at most.
const PAGES: usize = 512;
/// So much memory is kept to see what changes slowly.
const EARLIER_MAX: u64 = 2 << 20;
/// Nothing is executed there.
const NOWHERE: u64 = 1;
/// Offset of the vector registers in the XSAVE layout, and their distance.
const XMM: usize = 160;
const ST: usize = 32;
const XMM_SIZE: usize = 16;

fn word_at(tid: Tid, address: u64) -> Option<[u8; 8]> {
    let mut word = [0u8; 8];
    (read_memory(tid, address, &mut word) == 8).then_some(word)
}

/// The place that was chosen, as the thread first came there.
struct Chosen {
    regs: Regs,
    vectors: Vec<u8>,
    flags_count: bool,
}

/// Memory as it was at some moment: outer frames of the stack, and what else there is if it is not much.
struct Earlier(Vec<(u64, Vec<u8>)>);

impl Earlier {
    fn of(tid: Tid, rsp: u64) -> Earlier {
        let (mut kept, mut total) = (Vec::new(), 0);
        let (Ok(all), Ok(pagemap)) = (maps::regions(tid), maps::Pagemap::open(tid)) else { return Earlier(kept) };
        let here = |region: &&maps::Region| region.start <= rsp && rsp < region.end;
        let (stack, rest): (Vec<_>, Vec<_>) = all.iter().filter(|region| region.is_private_writable()).partition(here);
        for region in stack.into_iter().chain(rest) {
            let stack = region.start <= rsp && rsp < region.end;
            pagemap.own_runs(region, &mut |address, length| {
                let from = if stack { address.max(rsp) } else { address };
                let length = (address + length as u64).saturating_sub(from).min(EARLIER_MAX - total.min(EARLIER_MAX));
                total += length;
                if length > 0 {
                    kept.push((from, bytes_at(tid, from, length)));
                }
            });
        }
        Earlier(kept)
    }

    /// Words that hold something else now, so many of each piece; those of the outermost frames first.
    fn changed(&self, tid: Tid, most: usize) -> Vec<u64> {
        let mut found = Vec::new();
        for (start, before) in self.0.iter().rev() {
            let now = bytes_at(tid, *start, before.len() as u64);
            let pairs = before.as_chunks::<8>().0.iter().zip(now.as_chunks::<8>().0).enumerate().rev();
            let differing = pairs.filter(|(_, (before, now))| before != now);
            found.extend(differing.map(|(number, _)| (start & !7) + 8 * number as u64).take(most));
        }
        found
    }
}

/// What was seen on the way.
struct Trail {
    text: Option<Text>,
    info: InstructionInfoFactory,
    /// It calls functions: what tells how far it is may lie in an outer one.
    nested: bool,
    /// Memory as it was a little earlier.
    earlier: Option<Earlier>,
    /// Words that were written, with what they held before; the last written last.
    written: Vec<(u64, [u8; 8])>,
    chosen: Option<Chosen>,
}

impl Trail {
    fn instruction(&mut self, tid: Tid, rip: u64) -> Option<Instruction> {
        if self.text.as_ref().and_then(|text| text.instruction(rip)).is_none() {
            self.text = Text::around(tid, rip);
        }
        self.text.as_ref()?.instruction(rip)
    }

    /// Notes what the instruction that comes next will write.
    fn note(&mut self, tid: Tid, regs: &Regs) {
        let Some(instruction) = self.instruction(tid, regs.rip()) else { return };
        self.nested |= matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return);
        let mut addresses = Vec::new();
        for used in self.info.info(&instruction).used_memory() {
            let writes =
                matches!(used.access(), OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite);
            let address = used.virtual_address(0, |register, _, _| value_of(regs, register));
            if let Some(address) = address.filter(|_| writes) {
                let last = address.saturating_add((used.memory_size().size() as u64).clamp(1, 32) - 1);
                addresses.extend((address & !7..=last).step_by(8));
            }
        }
        for address in addresses {
            match self.written.iter().position(|(known, _)| *known == address) {
                Some(at) => {
                    let known = self.written.remove(at);
                    self.written.push(known);
                }
                None => self.written.extend(word_at(tid, address).map(|before| (address, before))),
            }
        }
    }

    /// Takes the place the thread is at, if it is better than the one that was chosen before.
    fn choose(&mut self, tid: Tid, regs: &Regs) {
        if self.chosen.as_ref().is_some_and(|chosen| !chosen.flags_count) || self.instruction(tid, regs.rip()).is_none() {
            return;
        }
        let Some(place) = self.text.as_ref().and_then(|text| text.place(regs.rip())) else { return };
        if self.chosen.is_none() || !place.flags_count {
            let vectors = sys::xstate(tid).unwrap_or_default();
            self.chosen = Some(Chosen { regs: *regs, vectors, flags_count: place.flags_count });
        }
    }

    /// Pages that were written, or hold something else than a little earlier.
    fn pages(&self, tid: Tid) -> Vec<u64> {
        let slow = self.earlier.iter().flat_map(|earlier| earlier.changed(tid, usize::MAX));
        self.written.iter().map(|(address, _)| *address).chain(slow).map(|at| at & !(maps::PAGE - 1)).take(PAGES).collect()
    }

    fn is_place(&mut self, tid: Tid, rip: u64) -> bool {
        self.instruction(tid, rip).is_some() && self.text.as_ref().is_some_and(|text| text.place(rip).is_some())
    }
}

fn value_of(regs: &Regs, register: Register) -> Option<u64> {
    match register {
        Register::FS => Some(regs.0[index::FS_BASE]),
        Register::GS => Some(regs.0[index::GS_BASE]),
        Register::CS | Register::DS | Register::ES | Register::SS | Register::None => Some(0),
        Register::RIP => Some(regs.rip()),
        other if other.is_gpr64() => NUMBERED.get(other.number()).map(|at| regs.0[*at]),
        other if other.is_gpr32() => NUMBERED.get(other.number()).map(|at| regs.0[*at] & 0xffff_ffff),
        _ => None,
    }
}

impl Tracer<'_> {
    /// Follows a computation to a state that a replay can find. The thread is stopped at a SIGTRAP afterwards, unless something else
    /// came.
    pub(super) fn findable(&mut self, tid: Tid) -> Result<Found, ReplayError> {
        let mut trail = Trail {
            nested: false,
            earlier: None,
            text: None,
            info: InstructionInfoFactory::new(),
            written: Vec::new(),
            chosen: None,
        };
        let read = || sys::registers(tid).map_err(ReplayError::io("read registers"));
        for step in 0..STEPS {
            let regs = read()?;
            if trail.chosen.as_ref().is_some_and(|chosen| chosen.regs.rip() == regs.rip()) {
                if trail.nested && trail.earlier.is_none() {
                    trail.earlier = Some(Earlier::of(tid, regs.rsp()));
                    match self.run_to(tid, NOWHERE, Instant::now())? {
                        Ran::Elsewhere => return Ok(Found::Elsewhere),
                        Ran::There | Ran::Late => continue,
                    }
                }
                return Ok(Self::point(tid, &trail, true));
            }
            if step < CHOICE || trail.chosen.is_none() {
                trail.choose(tid, &regs);
            }
            trail.note(tid, &regs);
            match self.advance(tid, &mut trail, &regs)? {
                Ran::There => {}
                Ran::Late => return Ok(Found::Nothing),
                Ran::Elsewhere => return Ok(Found::Elsewhere),
            }
        }
        self.far_place(tid, trail)
    }

    /// The thread does not come back to its place soon: it is waited for there, or another is taken.
    fn far_place(&mut self, tid: Tid, mut trail: Trail) -> Result<Found, ReplayError> {
        let read = || sys::registers(tid).map_err(ReplayError::io("read registers"));
        if trail.earlier.is_none() {
            let rsp = read()?.rsp();
            trail.earlier = Some(Earlier::of(tid, rsp));
        }
        let Some(rip) = trail.chosen.as_ref().map(|chosen| chosen.regs.rip()) else { return Ok(Found::Nothing) };
        match self.run_to(tid, rip, Instant::now())? {
            Ran::There => return Ok(Self::point(tid, &trail, true)),
            Ran::Elsewhere => return Ok(Found::Elsewhere),
            Ran::Late => {}
        }
        for _ in 0..STEPS {
            let regs = read()?;
            if trail.is_place(tid, regs.rip()) {
                return Ok(Self::point(tid, &trail, false));
            }
            trail.note(tid, &regs);
            match self.advance(tid, &mut trail, &regs)? {
                Ran::There => {}
                Ran::Late => return Ok(Found::Nothing),
                Ran::Elsewhere => return Ok(Found::Elsewhere),
            }
        }
        Ok(Found::Nothing)
    }

    /// One instruction; one that is repeated in itself to its end. (`rep ret` only looks like one.)
    fn advance(&mut self, tid: Tid, trail: &mut Trail, regs: &Regs) -> Result<Ran, ReplayError> {
        let repeats = |i: &Instruction| i.is_string_instruction() && (i.has_rep_prefix() || i.has_repne_prefix());
        match trail.instruction(tid, regs.rip()).filter(repeats) {
            Some(instruction) => self.run_to(tid, instruction.next_ip(), Instant::now()),
            None => self.stepped(tid).map(|stepped| if stepped { Ran::There } else { Ran::Elsewhere }),
        }
    }

    /// The state that the thread is in; `again` when it is at the place that was chosen, for the second time.
    fn point(tid: Tid, trail: &Trail, again: bool) -> Found {
        let Ok(regs) = sys::registers(tid) else { return Found::Nothing };
        let Ok(Some(memory)) = maps::state_sum(tid, &[], u64::MAX, regs.rsp()) else { return Found::Nothing };
        let dead = maps::dead_stack(tid, regs.rsp());
        let live = |address: u64| !dead.contains(&address);
        let now = trail.written.iter().rev().filter(|(address, _)| live(*address));
        let now = now.filter_map(|(address, before)| word_at(tid, *address).map(|word| (*address, word, *before)));
        let (changed, kept): (Vec<_>, Vec<_>) = now.partition(|(_, word, before)| word != before);
        let mut words: Vec<_> = changed.into_iter().chain(kept).map(|(address, word, _)| (address, word)).take(WORDS).collect();
        for address in trail.earlier.iter().flat_map(|earlier| earlier.changed(tid, WORDS / 2)).filter(|address| live(*address)) {
            if words.len() < 2 * WORDS && !words.iter().any(|(known, _)| *known == address) {
                words.extend(word_at(tid, address).map(|word| (address, word)));
            }
        }
        let (mut vectors, mut moving) = (Vec::new(), 0);
        if let Some(chosen) = trail.chosen.as_ref().filter(|_| again) {
            vectors = changed_vectors(&chosen.vectors, &sys::xstate(tid).unwrap_or_default());
            let differs = |number: &usize| chosen.regs.0[NUMBERED[*number]] != regs.0[NUMBERED[*number]];
            moving = (0..16usize).filter(differs).fold(0, |bits, number| bits | 1 << number);
        }
        let seen = trail.pages(tid);
        Found::Point(Box::new(Point { regs, memory, words, vectors, pages: Vec::new(), moving }), seen)
    }
}

/// Low halves of the vector registers that differ.
fn changed_vectors(before: &[u8], after: &[u8]) -> Vec<(u8, u64)> {
    let low = |bytes: &[u8], number: usize| {
        bytes.get(XMM + number * XMM_SIZE..).and_then(|rest| rest.first_chunk::<8>()).map(|word| u64::from_le_bytes(*word))
    };
    let differing = (0..16usize).filter(|number| low(before, *number) != low(after, *number));
    let vectors = differing.filter_map(|number| low(after, number).map(|word| (number as u8, word)));
    // The x87 registers lie before the vector registers, at the same distance.
    let stack = |bytes: &[u8], number: usize| {
        bytes.get(ST + number * XMM_SIZE..).and_then(|rest| rest.first_chunk::<8>()).map(|word| u64::from_le_bytes(*word))
    };
    let differing = (0..8usize).filter(|number| stack(before, *number) != stack(after, *number));
    let stacked = differing.filter_map(|number| stack(after, number).map(|word| (FIRST_ST + number as u8, word)));
    vectors.chain(stacked).take(VECTORS).collect()
}
