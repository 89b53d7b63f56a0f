// SPDX-License-Identifier: Apache-2.0
//! Streams that are damaged: the decoder ends with an error or with other events, never otherwise, and takes no more memory than the
//! stream could fill.
#![allow(clippy::unwrap_used)]

use observer_replay::regs::Regs;
use observer_replay::stream::{Decoder, Effect, Encoder, Entry, Event, Exec, Exit, Mapping, Source, What};

/// Rounds; `OBSERVER_MUTANTS` makes them more.
fn rounds() -> u64 {
    std::env::var("OBSERVER_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// xorshift64*: the same numbers in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

fn stream() -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut out = Vec::new();
    let regs = |n: u64| Regs(std::array::from_fn(|at| n * 7 + at as u64));
    let map = Mapping { start: 0x40_0000, length: 8192, prot: 5, grows: false, private: true, from: Source::Blob([7; 32], 4096) };
    let exec = Exec {
        exe: "/bin/true".into(),
        regs: regs(0),
        maps: vec![map.clone(), map],
        memory: vec![(0x1000, vec![1; 300].into())],
    };
    let mut events = vec![Event { task: 0, dt_ns: 5, what: What::Exec(Box::new(exec)) }];
    for n in 1..20u64 {
        let entry = Entry { regs: encoder.entry(0, &regs(n)), restarted: false };
        let effects = vec![Effect::Memory(0x7fff_0000 + n, vec![n as u8; 40]), Effect::Output(1)];
        events.push(Event { task: 0, dt_ns: n, what: What::Call(entry, Exit { result: -2, sent: n, effects }) });
        events.push(Event { task: 1, dt_ns: n, what: What::Note("a reason".into()) });
    }
    for event in &events {
        out.extend(encoder.bytes(event).unwrap());
    }
    out
}

/// Decodes until the end or an error; returns how many events there were and how many bytes they hold.
fn decode(mut payload: &[u8]) -> (usize, usize) {
    let (mut decoder, mut events, mut held) = (Decoder::default(), 0, 0);
    while !payload.is_empty() {
        let Ok(event) = decoder.take(&mut payload) else { break };
        events += 1;
        held += match &event.what {
            What::Call(entry, exit) => {
                decoder.entry(event.task, &entry.regs);
                entry.regs.changes.len() * 8 + exit.effects.len() * size_of::<Effect>()
            }
            What::Enter(entry) => entry.regs.changes.len() * 8,
            What::Exec(exec) => {
                exec.maps.len() * size_of::<Mapping>() + exec.memory.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
            }
            _ => 0,
        };
    }
    (events, held)
}

#[test]
fn a_whole_stream_decodes() {
    assert_eq!(decode(&stream()).0, 39);
}

#[test]
fn damage_never_ends_otherwise_than_with_an_error() {
    let (whole, mut chance) = (stream(), Chance(0x5eed));
    for _ in 0..rounds() {
        let mut damaged = whole.clone();
        for _ in 0..=chance.below(4) {
            let at = chance.below(damaged.len());
            match chance.below(4) {
                0 => damaged.truncate(at.max(1)),
                1 => damaged[at] = 0xff,
                2 => damaged.insert(at, chance.next() as u8),
                _ => damaged[at] ^= 1 << chance.below(8),
            }
        }
        let (events, held) = decode(&damaged);
        assert!(events <= damaged.len());
        assert!(held <= damaged.len() * 64, "{held} bytes from {}", damaged.len());
    }
}

#[test]
fn a_length_beyond_the_end_is_refused_at_once() {
    let mut payload: &[u8] = &[0xff, 0xff, 0xff, 0x7f, 0, 0];
    assert!(Decoder::default().take(&mut payload).is_err());
    let mut endless: &[u8] = &[0xff; 64];
    assert!(Decoder::default().take(&mut endless).is_err());
}
