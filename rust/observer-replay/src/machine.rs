// SPDX-License-Identifier: Apache-2.0
//! What of the processor a recording depends on: instructions that programs choose by CPUID, which cannot be intercepted here.

use observer_capture::sys::CpuMask;
use serde_json::{json, Value};
use std::arch::x86_64::__cpuid_count;

/// CPUID leaves whose answers programs act upon, each with the registers (eax, ebx, ecx, edx) that count; what differs between the
/// CPUs of one machine (the APIC id) is left out. Source: the processor manuals' chapters on CPUID.
const LEAVES: [(u32, u32, [bool; 4]); 5] = [
    (0, 0, [false, true, true, true]),
    (1, 0, [true, false, true, true]),
    (7, 0, [false, true, true, true]),
    (0xd, 0, [true, false, false, true]),
    (0x8000_0001, 0, [true, false, true, true]),
];
/// OSXSAVE and the like change with the kernel, not with the processor.
const FEATURES: [(&str, u32, usize, u32); 6] = [
    ("sse4.2", 1, 2, 20),
    ("avx", 1, 2, 28),
    ("avx2", 7, 1, 5),
    ("avx512f", 7, 1, 16),
    ("rdrand", 1, 2, 30),
    ("rdseed", 7, 1, 18),
];

fn leaf(number: u32, sub: u32) -> [u32; 4] {
    let found = __cpuid_count(number, sub);
    [found.eax, found.ebx, found.ecx, found.edx]
}

/// The facts for a recording's `replay_start` line.
#[must_use]
pub fn facts() -> Value {
    let leaves: Vec<Value> = LEAVES
        .iter()
        .map(|(number, sub, counts)| {
            let words: Vec<u32> =
                leaf(*number, *sub).iter().zip(counts).map(|(word, counts)| if *counts { *word } else { 0 }).collect();
            json!([number, sub, words])
        })
        .collect();
    let has =
        |(name, number, word, bit): &(&str, u32, usize, u32)| (leaf(*number, 0)[*word] >> bit & 1 == 1).then(|| json!(name));
    json!({"cpuid": leaves, "features": FEATURES.iter().filter_map(has).collect::<Vec<_>>()})
}

/// What is different here from a recording's machine; None when programs cannot tell the two apart.
#[must_use]
pub fn difference(recorded: &Value) -> Option<String> {
    let here = facts();
    if recorded.get("cpuid") == here.get("cpuid") {
        return None;
    }
    let list = |facts: &Value| {
        let names = facts.get("features").and_then(Value::as_array).cloned().unwrap_or_default();
        names.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let (there, ours) = (list(recorded), list(&here));
    let missing: Vec<&String> = there.iter().filter(|name| !ours.contains(name)).collect();
    let extra: Vec<&String> = ours.iter().filter(|name| !there.contains(name)).collect();
    Some(format!("its processor answers CPUID otherwise (missing here: {missing:?}; only here: {extra:?})"))
}

/// RLIMIT_STACK of this process, bytes: a program's stack grows up to there.
#[must_use]
pub fn stack_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid local.
    unsafe { libc::getrlimit(libc::RLIMIT_STACK, &mut limit) };
    limit.rlim_cur
}

/// The CPU that the calling thread runs on.
#[must_use]
pub fn current_cpu() -> i32 {
    // SAFETY: plain call.
    unsafe { libc::sched_getcpu() }
}

/// Puts the calling thread, and what it starts, on the CPU of the recording: programs can ask which one they run on. On any one CPU
/// where that one is missing: stops that wake another are many times slower. True when it is the recorded one.
pub fn pin(recorded: Option<u64>) -> bool {
    let Ok(own) = CpuMask::of(0) else { return false };
    let wanted = recorded.and_then(|cpu| usize::try_from(cpu).ok()).and_then(|cpu| own.only(cpu));
    let found = wanted.is_some();
    wanted.unwrap_or_else(CpuMask::current).apply(0).is_ok() && found
}
