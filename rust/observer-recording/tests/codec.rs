// SPDX-License-Identifier: Apache-2.0
//! Any records survive encoding; any bytes are decoded or refused, never worse.
#![allow(missing_docs, clippy::unwrap_used)]

use observer_model::{Blob, Record, SignalRecord, SyscallRecord, When};
use observer_recording::chunk::{Header, Kind};
use observer_recording::codec::{ChunkDecoder, ChunkEncoder};
use observer_recording::Batch;
use proptest::prelude::*;

fn blob() -> impl Strategy<Value = Blob> {
    (0u8..6, any::<bool>(), any::<u16>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(arg, exit, part, truncated, bytes)| Blob {
            arg,
            when: if exit { When::Exit } else { When::Entry },
            part,
            truncated,
            bytes,
        },
    )
}

/// What the kernel fills: whole words, a few of which change.
fn structure() -> impl Strategy<Value = Blob> {
    (2usize..30, prop::collection::vec((0usize..30, prop_oneof![any::<u64>(), 0u64..3]), 0..6), 0u8..2).prop_map(
        |(words, changes, arg)| {
            let mut bytes = vec![7u8; words * 8];
            for (word, value) in changes {
                if let Some(to) = bytes.get_mut(word * 8..word * 8 + 8) {
                    to.copy_from_slice(&value.to_le_bytes());
                }
            }
            Blob { arg, when: When::Exit, part: 0, truncated: false, bytes }
        },
    )
}

/// What the kernel reads: paths with the same beginning.
fn path() -> impl Strategy<Value = Blob> {
    (0usize..40, "[a-z/]{0,12}", 0u8..2).prop_map(|(shared, rest, arg)| {
        let mut bytes = b"/srv/data/a-directory/of-some-depth/here"[..shared].to_vec();
        bytes.extend_from_slice(rest.as_bytes());
        Blob { arg, when: When::Entry, part: 0, truncated: false, bytes }
    })
}

fn call() -> impl Strategy<Value = Record> {
    let ids = (1u32..5, 1u32..5, prop_oneof![0u32..4, 0u32..460, any::<u32>()], 0u32..16);
    let times = (any::<u64>(), any::<u64>(), any::<i64>());
    (ids, times, any::<[u64; 6]>(), prop::collection::vec(prop_oneof![blob(), structure(), path()], 0..4)).prop_map(
        |((tid, pid, nr, flags), (start_ns, duration_ns, result), args, blobs)| {
            Record::Call(SyscallRecord { tid, pid, nr, flags, start_ns, duration_ns, result, args, blobs })
        },
    )
}

fn signal() -> impl Strategy<Value = Record> {
    (any::<u32>(), any::<u32>(), any::<u64>(), 1u32..65, any::<i32>(), any::<u32>(), any::<u32>()).prop_map(
        |(tid, pid, start_ns, signo, code, sender_pid, sender_uid)| {
            Record::Signal(SignalRecord { tid, pid, start_ns, signo, code, sender_pid, sender_uid })
        },
    )
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(prop_oneof![5 => call(), 1 => signal()], 0..50)
}

fn header(records: u32, base_ns: u64, columns: bool) -> Header {
    Header { kind: Kind::Records, columns, arch: 1, stored: 0, raw: 0, first_record: 0, records, base_ns, last_ns: 0 }
}

fn encoded(encoder: &mut ChunkEncoder, records: &[Record]) -> Batch {
    records.iter().for_each(|r| encoder.push(r));
    encoder.cut(Vec::new())
}

fn decoded(payload: &[u8], batch: &Batch) -> Result<Vec<Record>, observer_recording::varint::DecodeError> {
    ChunkDecoder::new(payload, &header(batch.records, batch.base_ns, true)).collect()
}

#[test]
fn a_row_of_before_is_still_read() {
    // openat(-100, 0x1000, 0) = 3 at 100 + 1 for 5 ns, of thread 7 in process 7, "/etc/hosts"; again with "/etc/hostname" told by what they share.
    let mut rows = vec![16, 0, 7, 7, 0x81, 2, 2, 5, 3, 3, 0xc7, 1, 0x80, 0x40, 1, 1, 0, 10];
    rows.extend_from_slice(b"/etc/hosts");
    rows.extend_from_slice(&[17, 0x81, 2, 2, 5, 3, 0, 1, 33, 0, 13, 8]);
    rows.extend_from_slice(b"tname");
    let read: Vec<_> = ChunkDecoder::new(&rows, &header(2, 100, false)).map(Result::unwrap).collect();
    let call = |start_ns: u64, path: &[u8]| {
        let blobs = vec![Blob { arg: 1, when: When::Entry, part: 0, truncated: false, bytes: path.to_vec() }];
        let args = [0u64.wrapping_sub(100), 0x1000, 0, 0, 0, 0];
        Record::Call(SyscallRecord { tid: 7, pid: 7, nr: 257, flags: 0, start_ns, duration_ns: 5, result: 3, args, blobs })
    };
    assert_eq!(read, [call(101, b"/etc/hosts"), call(102, b"/etc/hostname")]);
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(first in records(), second in records()) {
        let mut encoder = ChunkEncoder::new();
        for records in [first, second] {
            let batch = encoded(&mut encoder, &records);
            prop_assert_eq!(decoded(&batch.payload, &batch).unwrap(), records);
        }
    }

    #[test]
    fn any_bytes_end_in_records_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600), count in 0u32..2000, columns in any::<bool>()) {
        let items: Vec<_> = ChunkDecoder::new(&bytes, &header(count, 0, columns)).collect();
        prop_assert!(items.iter().filter(|i| i.is_err()).count() <= 1);
        prop_assert!(items.len() <= count as usize + 1);
    }

    #[test]
    fn a_cut_chunk_is_noticed(records in records(), cut in any::<prop::sample::Index>()) {
        prop_assume!(!records.is_empty());
        let batch = encoded(&mut ChunkEncoder::new(), &records);
        prop_assert!(decoded(&batch.payload[..cut.index(batch.payload.len())], &batch).is_err());
    }
}
