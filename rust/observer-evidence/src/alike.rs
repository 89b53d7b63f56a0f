// SPDX-License-Identifier: Apache-2.0
//! Checks events one after the other. Most have the same keys in the same order as the one before them: then a key needs to be
//! compared only, its being the only one of its name follows, and a member that is spelled alike needs no second look.

use crate::json::{check_bytes, Member, Parser, Refusal, Room};
use observer_lanes::quotes;

/// Checks the events of one block.
#[derive(Default)]
pub(crate) struct Checker<'a> {
    last: &'a [u8],
    /// Its members are those of `last`; none when that one's spelling is not as compact as can be.
    room: Room,
    /// Where the quotes of an event are.
    quotes: Vec<u16>,
}

impl<'a> Checker<'a> {
    /// Check that an event is one JSON object that every parser reads alike.
    pub(crate) fn check(&mut self, event: &'a [u8]) -> Result<(), Refusal> {
        if !self.follows_last(event) {
            check_bytes(event)?;
            let mut parser = Parser::new(event, std::mem::take(&mut self.room));
            parser.whole()?;
            self.room = parser.room;
            if !is_compact(&self.room.members, event.len()) {
                self.room.members.clear();
            }
        }
        self.last = event;
        Ok(())
    }

    /// True when the event has the keys of the last one in their order, and values that are allowed. What was noted of the last
    /// event is then of this one; else it is of neither.
    fn follows_last(&mut self, event: &'a [u8]) -> bool {
        let mut members = std::mem::take(&mut self.room.members);
        if members.is_empty() || event.first() != Some(&b'{') {
            return false;
        }
        let mut parser = Parser::new(event, std::mem::take(&mut self.room));
        let plain = quotes(event, &mut self.quotes).filter(|seen| !(seen.escapes || seen.low || seen.high));
        let alike = match plain {
            Some(seen) => follow_quotes(&mut parser, event, self.last, &mut members, &self.quotes[..seen.quotes]),
            None => follow(&mut parser, event, self.last, &mut members),
        };
        self.room = parser.room;
        self.room.members = members;
        alike.is_some()
    }
}

/// Put the members of `event` in the place of those of `last`; None when they are not alike.
fn follow(parser: &mut Parser<'_>, event: &[u8], last: &[u8], members: &mut [Member]) -> Option<()> {
    let mut at = 1;
    for member in members {
        *member = next_member(parser, &event[at..], &last[member.start..], at, *member)?;
        at = member.end + 1;
    }
    (at == event.len()).then_some(())
}

/// The same for an event without escapes, control bytes and bytes above 0x7f, whose quotes are known: a string then ends at the next
/// quote, and its bytes need no look.
fn follow_quotes(parser: &mut Parser<'_>, event: &[u8], last: &[u8], members: &mut [Member], quotes: &[u16]) -> Option<()> {
    let (mut at, mut next) = (1, 0);
    for member in members {
        let key = member.value - member.start;
        let is_string = last[member.value] == b'"';
        if !starts_alike(event.get(at..)?, &last[member.start..], key + usize::from(is_string)) {
            return None;
        }
        // The key has no escapes either: its two quotes are the next two.
        let end = if is_string {
            next += 4;
            usize::from(*quotes.get(next - 1)?) + 1
        } else {
            parser.inside(at + key);
            parser.value().ok()?;
            next += 2 + quotes[next..].iter().skip(2).take_while(|&&quote| usize::from(quote) < parser.at).count();
            parser.at
        };
        if event.get(end)? != &last[member.end] {
            return None;
        }
        *member = Member { start: at, value: at + key, end };
        at = end + 1;
    }
    (at == event.len()).then_some(())
}

/// The first `count` bytes of both are the same; most keys have fewer than 32.
#[inline]
fn starts_alike(one: &[u8], other: &[u8], count: usize) -> bool {
    let sixteen = |bytes: &[u8], from: usize| bytes[from..].first_chunk().map(|chunk| u128::from_le_bytes(*chunk));
    match count {
        1..16 => match (sixteen(one, 0), sixteen(other, 0)) {
            (Some(one), Some(other)) => (one ^ other) << (128 - 8 * count) == 0,
            _ => one.get(..count) == other.get(..count),
        },
        16..=32 if one.len() >= count && other.len() >= count => {
            sixteen(one, 0) == sixteen(other, 0) && sixteen(one, count - 16) == sixteen(other, count - 16)
        }
        _ => one.get(..count) == other.get(..count),
    }
}

/// The member at `at`, when it has the key of `last` and an allowed value, and the same byte follows it.
#[inline]
fn next_member(parser: &mut Parser<'_>, rest: &[u8], last: &[u8], at: usize, member: Member) -> Option<Member> {
    let (key, all) = (member.value - member.start, member.end - member.start);
    if rest.starts_with(&last[..=all]) {
        return Some(Member { start: at, value: at + key, end: at + all });
    }
    if !rest.starts_with(&last[..key]) {
        return None;
    }
    parser.inside(at + key);
    parser.value().ok()?;
    check_bytes(&rest[key..parser.at - at]).ok()?;
    (rest.get(parser.at - at) == Some(&last[all])).then_some(Member { start: at, value: at + key, end: parser.at })
}

/// Nothing but one byte lies between members: what is compared is then all there is.
fn is_compact(members: &[Member], length: usize) -> bool {
    let edges =
        members.first().is_some_and(|first| first.start == 1) && members.last().is_some_and(|last| last.end + 1 == length);
    edges && members.windows(2).all(|pair| pair[0].end + 1 == pair[1].start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::check_event;
    use proptest::prelude::*;

    /// What an event may be made of, good and bad.
    const PARTS: [&str; 26] = [
        "\"a key of more than 16 bytes\":\"a value of more bytes than that, so that the event is longer than 64\"",
        "\"a key of more than 16 bytes\":\"another value\"",
        "\"a key of more than 32 bytes, so that it is compared otherwise\":\"\"",
        "\"e\":[\"x\",{\"y\":\"z\"}]",
        "\"a\":1",
        "\"a\":12",
        "\"a\":1.",
        "\"a\":\"x\"",
        "\"a\":\"x",
        "\"b\":{\"c\":1}",
        "\"b\":{\"c\":1,\"c\":1}",
        "\"b\":[1,2]",
        "\"b\":[1,2",
        "\"b\":null",
        "\"b\":nul",
        "\"\\u0061\":1",
        "\"c\":\"\\\"\"",
        "\"c\":\"\u{e9}\"",
        "\"c\": true",
        " \"c\":true",
        "\"c\":true ",
        "\"c\" :true",
        "\"d\":-0",
        "\"d\":1e400",
        "\"d\":\"\u{1}\"",
        "\"d\":{}",
    ];

    fn event() -> impl Strategy<Value = String> {
        let parts = proptest::collection::vec(proptest::sample::select(&PARTS[..]), 0..4);
        (parts, proptest::sample::select(&["}", "},", "", "} "][..]))
            .prop_map(|(parts, end)| format!("{{{}{end}", parts.join(",")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn an_event_is_judged_alike_whatever_came_before(events in proptest::collection::vec(event(), 1..6)) {
            let mut checker = Checker::default();
            for event in &events {
                let allowed = check_event(event.as_bytes());
                prop_assert_eq!(checker.check(event.as_bytes()), allowed, "{:?}", events);
                if allowed.is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn only_good_members_are_taken_over() {
        let (mut checker, first) = (Checker::default(), b"{\"a\":1,\"b\":\"x\"}");
        checker.check(first).unwrap();
        assert!(checker.follows_last(b"{\"a\":2,\"b\":\"x\"}"));
        checker.last = b"{\"a\":2,\"b\":\"x\"}";
        for bad in [
            &b"{\"a\":2,\"b\":\"x\"}}"[..],
            b"{\"a\":2}",
            b"{\"a\":2,\"a\":\"x\"}",
            b"{\"a\":2,\"b\":\"x\",\"b\":1}",
            b"{\"a\":02,\"b\":\"x\"}",
        ] {
            let mut checker = Checker { last: checker.last, room: rebuilt(), quotes: Vec::new() };
            assert!(!checker.follows_last(bad), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn beginnings_are_compared_byte_by_byte() {
        let one: Vec<u8> = (0..80).collect();
        for length in 0..=60 {
            for at in 0..80 {
                let mut other = one.clone();
                other[at] ^= 1;
                for bytes in [&other[..], &other[..length]] {
                    assert_eq!(starts_alike(&one, bytes, length), at >= length, "{at} {length}");
                }
            }
            assert!(starts_alike(&one, &one[..length], length));
            assert!(length == 0 || !starts_alike(&one, &one[..length - 1], length));
        }
    }

    fn rebuilt() -> Room {
        let mut parser = Parser::new(b"{\"a\":2,\"b\":\"x\"}", Room::default());
        parser.whole().unwrap();
        parser.room
    }
}
