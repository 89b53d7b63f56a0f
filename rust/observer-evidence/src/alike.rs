// SPDX-License-Identifier: Apache-2.0
//! Checks events one after the other. Most have the same keys in the same order as the one before them: then a key needs to be
//! compared only, its being the only one of its name follows, and a member that is spelled alike needs no second look.

use crate::json::{check_bytes, Member, Parser, Refusal, Room};

/// Checks the events of one block.
#[derive(Default)]
pub(crate) struct Checker<'a> {
    last: &'a [u8],
    /// Its members are those of `last`; none when that one's spelling is not as compact as can be.
    room: Room,
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
        let mut at = 1;
        let alike = members.iter_mut().all(|member| {
            let found = next_member(&mut parser, &event[at..], &self.last[member.start..], at, *member);
            at = found.map_or(at, |found| found.end + 1);
            found.inspect(|found| *member = *found).is_some()
        });
        self.room = parser.room;
        self.room.members = members;
        alike && at == event.len()
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
    const PARTS: [&str; 22] = [
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
            let mut checker = Checker { last: checker.last, room: rebuilt() };
            assert!(!checker.follows_last(bad), "{}", String::from_utf8_lossy(bad));
        }
    }

    fn rebuilt() -> Room {
        let mut parser = Parser::new(b"{\"a\":2,\"b\":\"x\"}", Room::default());
        parser.whole().unwrap();
        parser.room
    }
}
