// SPDX-License-Identifier: Apache-2.0
//! What holds for every record, also those that no kernel would produce: nothing panics, and the text is safe to print.
#![allow(clippy::unwrap_used)]

use observer_model::{all, decode, lookup, Arch, Blob, Shape, SyscallRecord, When};
use proptest::collection::vec;
use proptest::prelude::*;

fn arch() -> impl Strategy<Value = Arch> {
    prop_oneof![Just(Arch::X86_64), Just(Arch::Aarch64)]
}

/// Registers: small numbers, commands and flags as well as addresses.
fn register() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..64u64, 0..70_000u64, any::<u32>().prop_map(u64::from), any::<u64>()]
}

fn blob() -> impl Strategy<Value = Blob> {
    let when = prop_oneof![Just(When::Entry), Just(When::Exit)];
    let bytes = prop_oneof![vec(any::<u8>(), 0..40), vec(prop_oneof![Just(0u8), 0..4u8, any::<u8>()], 0..300)];
    (0..7u8, when, 0..6u16, any::<bool>(), bytes).prop_map(|(arg, when, part, truncated, bytes)| Blob {
        arg,
        when,
        part,
        truncated,
        bytes,
    })
}

fn record() -> impl Strategy<Value = SyscallRecord> {
    let result = prop_oneof![-600..600i64, any::<i64>()];
    let registers = proptest::array::uniform6(register());
    (0..480u32, 0..16u32, result, registers, vec(blob(), 0..12)).prop_map(|(nr, flags, result, args, blobs)| SyscallRecord {
        nr,
        flags,
        result,
        args,
        blobs,
        ..SyscallRecord::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_record_becomes_printable_text(arch in arch(), record in record()) {
        let decoded = decode(arch, &record);
        prop_assert!(!decoded.name.is_empty() && !decoded.result.is_empty());
        prop_assert!(decoded.args.len() <= 6);
        let line = decoded.to_string();
        prop_assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line:?}");
        prop_assert_eq!(decoded.clone(), decode(arch, &record));
        let failed = decoded.errno.is_some() && record.result > -512 && decoded.result != "?";
        prop_assert_eq!(failed, decoded.result.starts_with("-1 E"));
    }

    #[test]
    fn reading_memory_follows_the_pointers_that_there_are(arch in arch(), record in record(), failed in any::<bool>()) {
        for fetch in lookup(arch, record.nr).map_or(&[][..], |call| call.fetches) {
            let wanted = fetch.wanted(fetch.when, &record.args, failed);
            prop_assert!(!wanted || record.args[usize::from(fetch.arg)] != 0);
            prop_assert!(!wanted || fetch.when == When::Entry || !failed || fetch.on_error);
        }
    }
}

#[test]
fn every_call_decodes_without_any_memory() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for call in all(arch) {
            for value in [0, 1, 8, u64::MAX, 0x7fff_0000_1000] {
                for result in [-2, 0, 5] {
                    let record = SyscallRecord { nr: call.nr, args: [value; 6], result, ..SyscallRecord::default() };
                    assert_eq!(decode(arch, &record).name, call.name);
                }
            }
        }
    }
}

#[test]
fn the_table_is_an_index_of_itself() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for call in all(arch) {
            assert_eq!(lookup(arch, call.nr).map(|found| found.name), Some(call.name));
            assert_eq!(observer_model::by_name(arch, call.name).map(|found| found.nr), Some(call.nr));
            assert!(call.args.len() <= 6, "{}", call.name);
            assert!(call.shown.is_empty() || call.shown.len() == call.args.len(), "{}", call.name);
            for fetch in call.fetches {
                assert!(usize::from(fetch.arg) < call.args.len(), "{} reads what is no argument", call.name);
                assert!(fetch.when == When::Exit || !matches!(fetch.shape, Shape::Data(observer_model::Len::Result)));
            }
        }
        assert!(lookup(arch, 100_000).is_none());
    }
}
