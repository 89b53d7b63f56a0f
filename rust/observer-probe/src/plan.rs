// SPDX-License-Identifier: Apache-2.0
//! Turns the syscall tables' fetch plans into the probe's own table, so that neither knows a call by name.

use crate::abi::{Plan, Step, CALLS_MAX, CONTENT_MAX, FIXED, READ_MAX, SELECT_MAX, VALUES_MAX};
use crate::error::ProbeError;
use observer_model::{Arch, Classes, Cond, Fetch, Len, Shape, Syscall, When};
use std::collections::BTreeSet;

/// The architecture this build watches.
#[cfg(target_arch = "x86_64")]
pub const ARCH: Arch = Arch::X86_64;
/// The architecture this build watches.
#[cfg(target_arch = "aarch64")]
pub const ARCH: Arch = Arch::Aarch64;

const WANTED: u32 = 1;
const READ_EARLY: u32 = 2;
const NO_RETURN: u32 = 4;
const EARLY_IF: u32 = 8;

/// Of the entries of a directory so many bytes are kept: some twenty names. The kernel fills in up to 32 KiB at a time, most of which are
/// places in the directory that mean nothing to anybody else, and cannot be made smaller.
const ENTRIES_MAX: u16 = 768;

/// Calls whose caller's memory is gone when they return.
const REPLACES_MEMORY: [&str; 2] = ["execve", "execveat"];
/// Calls that list a directory.
const LIST_ENTRIES: [&str; 2] = ["getdents", "getdents64"];
/// Calls that do not return to where they were made.
const NEVER_RETURNS: [&str; 3] = ["exit", "exit_group", "rt_sigreturn"];

fn length(step: &mut Step, len: Len) {
    let (code, arg, n) = match len {
        Len::Const(n) => (1, 0, n),
        Len::Arg(a) => (2, a, 0),
        Len::ArgTimes(a, n) => (3, a, n),
        Len::Result => (4, 0, 0),
        Len::ResultTimes(n) => (5, 0, n),
        Len::DerefArg(a) => (6, a, 0),
        Len::ArgBits(a) => (7, a, 0),
    };
    (step.length, step.length_arg, step.n) = (code, arg, n);
}

fn shape(step: &mut Step, shape: Shape) {
    step.shape = match shape {
        Shape::CString => 1,
        Shape::Data(len) => {
            length(step, len);
            2
        }
        Shape::Struct(len) => {
            length(step, len);
            step.most = READ_MAX as u16;
            3
        }
        Shape::StringArray => 4,
        Shape::StringCount => 5,
        Shape::Iovec(count) => {
            step.length_arg = count;
            6
        }
        Shape::Msghdr => 7,
    };
}

/// The probe's form of one reading. A list of more values than one step holds becomes several steps, each with some of them;
/// None when that cannot be.
fn steps(fetch: &Fetch) -> Option<Vec<Step>> {
    let mut plain = Step {
        arg: fetch.arg,
        at_exit: u8::from(fetch.when == When::Exit),
        on_error: u8::from(fetch.on_error),
        ..Step::default()
    };
    shape(&mut plain, fetch.shape);
    let (code, arg, mask, values) = match fetch.cond {
        Cond::Always => return Some(vec![plain]),
        Cond::In { arg, mask, values } => (1, arg, mask, values),
        Cond::NotIn { values, .. } if values.len() > VALUES_MAX => return None,
        Cond::NotIn { arg, mask, values } => (2, arg, mask, values),
    };
    (plain.condition, plain.condition_arg, plain.mask) = (code, arg, mask);
    let some = |values: &[u64]| {
        let mut out = plain;
        out.values_count = values.len() as u16;
        out.values[..values.len()].copy_from_slice(values);
        out
    };
    Some(values.chunks(VALUES_MAX).map(some).collect())
}

/// Whether the kernel overwrites what the caller passed in, so that it must be read before.
fn overwritten(fetches: &[Fetch]) -> bool {
    let at = |arg: u8, when| fetches.iter().any(|f| f.arg == arg && f.when == when);
    fetches.iter().any(|f| at(f.arg, When::Entry) && at(f.arg, When::Exit))
}

/// No message of a call with these readings is longer. Each needs room for the most it may take and 64 bytes more; what follows
/// pointers stops by itself.
fn bound(steps: &[Step]) -> u32 {
    if steps.is_empty() {
        return FIXED as u32;
    }
    let most = |step: &Step| match (step.shape, step.length) {
        (3, 1) => (step.n as usize).min(READ_MAX) + 16,
        (3, _) => usize::from(step.most) + 16,
        (5, _) => 24,
        (1..=3, _) => READ_MAX + 16,
        _ => CONTENT_MAX,
    };
    let sum: usize = FIXED + READ_MAX + 64 + steps.iter().map(most).sum::<usize>();
    sum.min(CONTENT_MAX + 2 * READ_MAX) as u32
}

/// Tells by the value of one argument which steps may apply, where all conditions ask about the same one and about few values.
fn select(plan: &mut Plan, steps: &[Step]) {
    let bits = |test: &dyn Fn(&Step) -> bool| steps.iter().enumerate().fold(0, |all, (i, s)| all | u64::from(test(s)) << i);
    plan.exit_steps = bits(&|step| step.at_exit == 1);
    let conditional: Vec<&Step> = steps.iter().filter(|step| step.condition != 0).collect();
    let Some(first) = conditional.first() else { return };
    let listed = |step: &Step| step.values.iter().take(step.values_count as usize).copied().collect::<Vec<u64>>();
    let values: BTreeSet<u64> = conditional.iter().flat_map(|step| listed(step)).collect();
    let alike = conditional.iter().all(|step| (step.condition_arg, step.mask) == (first.condition_arg, first.mask));
    if !alike || values.len() > SELECT_MAX {
        return;
    }
    let may = |step: &Step, value: Option<u64>| match step.condition {
        0 => true,
        1 => value.is_some_and(|value| listed(step).contains(&value)),
        _ => value.is_none_or(|value| !listed(step).contains(&value)),
    };
    (plan.select_arg, plan.select_mask) = (u32::from(first.condition_arg), first.mask);
    plan.select_count = values.len() as u32;
    plan.other_steps = bits(&|step| may(step, None));
    for ((value, into), steps) in values.iter().zip(&mut plan.select_values).zip(&mut plan.select_steps) {
        (*into, *steps) = (*value, bits(&|step| may(step, Some(*value))));
    }
}

/// Takes the commonest readings out of the steps: a path, and a structure of one size that is filled in.
fn plain(plan: &mut Plan, steps: &[Step]) {
    let first = |test: &dyn Fn(&Step) -> bool| steps.iter().position(|step| step.condition == 0 && test(step));
    let text = first(&|step| step.shape == 1 && step.at_exit == 0);
    let filled = first(&|step| (step.shape, step.length) == (3, 1) && step.at_exit == 1 && step.on_error == 0);
    let taken: u64 = text.iter().chain(&filled).fold(0, |all, at| all | 1 << at);
    if let Some(step) = text.map(|at| steps[at]) {
        plan.text = u32::from(step.arg);
    }
    if let Some(step) = filled.map(|at| steps[at]) {
        (plan.filled, plan.filled_bytes) = (u32::from(step.arg), u64::from(step.n));
    }
    plan.other_steps &= !taken & ((1 << steps.len()) - 1);
    plan.select_steps.iter_mut().for_each(|steps| *steps &= !taken);
}

/// The plan of one call.
#[must_use]
pub fn plan(call: &Syscall, wanted: bool) -> Option<Plan> {
    let mut out = Plan { flags: u32::from(wanted) * WANTED, ..Plan::default() };
    let mut all: Vec<Step> = call.fetches.iter().map(steps).collect::<Option<Vec<_>>>()?.concat();
    if LIST_ENTRIES.contains(&call.name) {
        all.iter_mut().for_each(|step| step.most = ENTRIES_MAX);
    }
    out.steps.get_mut(..all.len())?.copy_from_slice(&all);
    out.steps_count = u32::try_from(all.len()).ok()?;
    out.bound = bound(&all);
    out.args = u32::try_from(call.args.len()).ok()?;
    select(&mut out, &all);
    if REPLACES_MEMORY.contains(&call.name) {
        out.flags |= READ_EARLY;
    } else if overwritten(call.fetches) {
        out.flags |= READ_EARLY | EARLY_IF;
    }
    if NEVER_RETURNS.contains(&call.name) {
        out.flags |= NO_RETURN;
    }
    if out.flags == WANTED {
        plain(&mut out, &all);
    }
    Some(out)
}

/// Numbers of the calls and classes that `words` name; None for all calls.
pub fn chosen(words: &[String]) -> Result<Option<BTreeSet<u32>>, ProbeError> {
    let mut numbers = BTreeSet::new();
    for word in words {
        let class = Classes::NAMES.into_iter().find(|(name, _)| name == word).map(|(_, class)| class);
        let named = |call: &&Syscall| call.name == word || class.is_some_and(|c| call.classes.has(c));
        let before = numbers.len();
        numbers.extend(observer_model::all(ARCH).filter(named).map(|call| call.nr));
        if numbers.len() == before && class.is_none() && observer_model::by_name(ARCH, word).is_none() {
            return Err(ProbeError::Config(format!("'{word}' is neither a system call nor a class of them")));
        }
    }
    Ok((!words.is_empty()).then_some(numbers))
}

/// Every number with its plan. A number without a call is recorded by its registers, unless calls were chosen.
pub fn table(words: &[String]) -> Result<Vec<(u32, Plan)>, ProbeError> {
    let chosen = chosen(words)?;
    let mut out = Vec::with_capacity(CALLS_MAX);
    for nr in 0..CALLS_MAX as u32 {
        let wanted = chosen.as_ref().is_none_or(|set| set.contains(&nr));
        let made = match observer_model::lookup(ARCH, nr) {
            Some(call) => plan(call, wanted)
                .ok_or_else(|| ProbeError::Config(format!("the plan of {} does not fit the probe's table", call.name)))?,
            None => Plan { flags: u32::from(wanted) * WANTED, ..Plan::default() },
        };
        out.push((nr, made));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_both_architectures_fits() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for call in observer_model::all(arch) {
                assert!((call.nr as usize) < CALLS_MAX, "{}", call.name);
                let plan = plan(call, true).unwrap_or_else(|| panic!("{} does not fit", call.name));
                assert!(plan.steps_count as usize >= call.fetches.len());
            }
        }
    }

    #[test]
    fn chosen_words_are_calls_or_classes() {
        let only = |words: &[&str]| chosen(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert!(only(&[]).unwrap().is_none());
        let set = only(&["openat", "network"]).unwrap().unwrap();
        let nr = |name| observer_model::by_name(ARCH, name).unwrap().nr;
        assert!(set.contains(&nr("openat")) && set.contains(&nr("connect")) && !set.contains(&nr("read")));
        assert!(matches!(only(&["opennat"]), Err(ProbeError::Config(_))));
    }

    #[test]
    fn the_form_of_a_call_tells_what_is_read() {
        let fcntl = plan(observer_model::by_name(ARCH, "fcntl").unwrap(), true).unwrap();
        let chosen = |value: u64| {
            let known = fcntl.select_values.iter().take(fcntl.select_count as usize).position(|v| *v == value);
            known.map_or(fcntl.other_steps, |at| fcntl.select_steps[at])
        };
        let (get, set, duplicate) = (chosen(5), chosen(6), chosen(0));
        assert_eq!((get.count_ones(), (get & fcntl.exit_steps).count_ones()), (2, 1), "F_GETLK is read and written");
        assert_eq!((set.count_ones(), set & fcntl.exit_steps), (1, 0), "F_SETLK is only read");
        assert_eq!(duplicate, 0);
    }

    #[test]
    fn of_a_directory_the_first_names_are_kept_and_of_a_path_all() {
        let most = |name: &str, step: usize| plan(observer_model::by_name(ARCH, name).unwrap(), true).unwrap().steps[step].most;
        assert_eq!(most("getdents64", 0), ENTRIES_MAX);
        assert_eq!((usize::from(most("readlinkat", 1)), usize::from(most("newfstatat", 1))), (READ_MAX, READ_MAX));
    }

    #[test]
    fn a_path_and_what_is_filled_in_need_no_step() {
        let told = |name: &str| plan(observer_model::by_name(ARCH, name).unwrap(), true).unwrap();
        let stat = told("newfstatat");
        assert_eq!((stat.text, stat.filled, stat.other_steps), (1, 2, 0));
        assert_eq!(stat.filled_bytes, u64::from(stat.steps[1].n));
        let (link, exec) = (told("readlinkat"), told("execve"));
        assert_eq!((link.text, link.filled, link.other_steps), (1, u32::MAX, 2), "what it returns tells the length");
        assert_eq!(exec.text, u32::MAX, "read before the call");
    }

    #[test]
    fn what_the_kernel_overwrites_is_read_before() {
        let flags = |name| plan(observer_model::by_name(ARCH, name).unwrap(), true).unwrap().flags;
        assert_eq!(flags("openat"), WANTED);
        assert_eq!(flags("execve"), WANTED | READ_EARLY);
        assert_eq!(flags("getsockopt"), WANTED | READ_EARLY | EARLY_IF);
        assert_eq!(flags("exit_group"), WANTED | NO_RETURN);
    }
}
