// SPDX-License-Identifier: Apache-2.0
//! Compares what two matched threads did, call by call.

use crate::align::align;
use crate::run::Token;
use std::collections::{HashMap, HashSet};

/// How a call differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// In A alone.
    Missing,
    /// In B alone.
    Extra,
    /// Another call in its place.
    NameChanged,
    /// The same call with other arguments.
    ArgsChanged,
    /// It failed, was denied or succeeded where it did not before.
    DecisionChanged,
    /// It returned something else, or wrote or read other content.
    ResultChanged,
    /// Made on both sides, in another order.
    Reordered,
}

impl Kind {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Extra => "extra",
            Kind::NameChanged => "name_changed",
            Kind::ArgsChanged => "args_changed",
            Kind::DecisionChanged => "decision_changed",
            Kind::ResultChanged => "result_changed",
            Kind::Reordered => "reordered",
        }
    }
}

/// One call that differs: indices into the threads' calls.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// Call of A.
    pub a: Option<usize>,
    /// Call of B.
    pub b: Option<usize>,
    /// How many calls of A came before: where it belongs in A, also for an extra call.
    pub position: usize,
}

/// How two threads compare.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Indices of equal calls.
    pub equal: Vec<(usize, usize)>,
    /// The rest, in order.
    pub differences: Vec<Difference>,
}

/// Files that were opened in each other's place: what follows on them is not different for that.
pub type Renamed = HashSet<(u32, u32)>;

/// Compares two sequences of calls, and adds to what is known of renamed files.
#[must_use]
pub fn compare(a: &[Token], b: &[Token], renamed: &mut Renamed) -> Comparison {
    let exact = |tokens: &[Token]| tokens.iter().map(Token::exact).collect::<Vec<_>>();
    let equal = align(&exact(a), &exact(b));
    let mut found = Comparison { equal, differences: Vec::new() };
    let mut from = (0, 0);
    let ends = found.equal.clone().into_iter().chain(std::iter::once((a.len(), b.len())));
    for (x, y) in ends {
        if from != (x, y) {
            gap(a, b, (from.0, x), (from.1, y), &mut found.differences);
        }
        from = (x + 1, y + 1);
    }
    reorder(a, b, &mut found.differences);
    found.forgive(a, b, renamed);
    found.differences.sort_by_key(|d| (d.position, d.b.unwrap_or(0)));
    found
}

impl Comparison {
    /// Takes calls for equal that differ only in a descriptor of a file that was opened under another name.
    fn forgive(&mut self, a: &[Token], b: &[Token], renamed: &mut Renamed) {
        let opened = |d: &Difference| Some((a[d.a?].opens, b[d.b?].opens)).filter(|(x, y)| *x != 0 && *y != 0 && x != y);
        renamed.extend(self.differences.iter().filter_map(opened));
        let equal = &mut self.equal;
        self.differences.retain(|d| {
            let (Kind::ArgsChanged, Some(x), Some(y)) = (d.kind, d.a, d.b) else { return true };
            let same = |t: &Token| (t.name, t.rest, t.result, t.data, t.outcome);
            let alike = same(&a[x]) == same(&b[y]) && renamed.contains(&(a[x].label, b[y].label));
            if alike {
                equal.push((x, y));
            }
            !alike
        });
        self.equal.sort_unstable();
    }
}

type Range = (usize, usize);

/// Between two equal calls: pair calls on the same thing, then calls of the same name, then what stands alone on both sides.
fn gap(a: &[Token], b: &[Token], left: Range, right: Range, out: &mut Vec<Difference>) {
    by(|t| t.key, a, b, left, right, out, &|a, b, left, right, out| {
        by(|t| u64::from(t.name), a, b, left, right, out, &rest);
    });
}

type Rest<'r> = &'r dyn Fn(&[Token], &[Token], Range, Range, &mut Vec<Difference>);

fn by(key: fn(&Token) -> u64, a: &[Token], b: &[Token], left: Range, right: Range, out: &mut Vec<Difference>, rest: Rest<'_>) {
    let keys = |tokens: &[Token], range: Range| tokens[range.0..range.1].iter().map(key).collect::<Vec<_>>();
    let mut from = (left.0, right.0);
    for (x, y) in align(&keys(a, left), &keys(b, right)) {
        let (x, y) = (left.0 + x, right.0 + y);
        rest(a, b, (from.0, x), (from.1, y), out);
        out.push(Difference { kind: change(&a[x], &b[y]), a: Some(x), b: Some(y), position: x });
        from = (x + 1, y + 1);
    }
    rest(a, b, (from.0, left.1), (from.1, right.1), out);
}

fn change(a: &Token, b: &Token) -> Kind {
    if a.name != b.name {
        Kind::NameChanged
    } else if a.outcome != b.outcome {
        Kind::DecisionChanged
    } else if (a.key, a.args) != (b.key, b.args) {
        Kind::ArgsChanged
    } else {
        Kind::ResultChanged
    }
}

fn rest(a: &[Token], b: &[Token], left: Range, right: Range, out: &mut Vec<Difference>) {
    if left.1 - left.0 == 1 && right.1 - right.0 == 1 {
        let kind = change(&a[left.0], &b[right.0]);
        out.push(Difference { kind, a: Some(left.0), b: Some(right.0), position: left.0 });
        return;
    }
    out.extend((left.0..left.1).map(|x| Difference { kind: Kind::Missing, a: Some(x), b: None, position: x }));
    out.extend((right.0..right.1).map(|y| Difference { kind: Kind::Extra, a: None, b: Some(y), position: left.1 }));
}

/// A call that is missing here and extra there was made in another order.
fn reorder(a: &[Token], b: &[Token], differences: &mut Vec<Difference>) {
    let mut extra: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, difference) in differences.iter().enumerate().rev() {
        if let (Kind::Extra, Some(y)) = (difference.kind, difference.b) {
            extra.entry(b[y].exact()).or_default().push(index);
        }
    }
    let mut gone = vec![false; differences.len()];
    for index in 0..differences.len() {
        let (Kind::Missing, Some(x)) = (differences[index].kind, differences[index].a) else { continue };
        if let Some(other) = extra.get_mut(&a[x].exact()).and_then(Vec::pop) {
            gone[other] = true;
            differences[index].kind = Kind::Reordered;
            differences[index].b = differences[other].b;
        }
    }
    let mut keep = gone.iter().map(|gone| !gone);
    differences.retain(|_| keep.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::{compare, Kind, Renamed};
    use crate::run::Token;

    fn calls(names: &[(u32, u32)]) -> Vec<Token> {
        names
            .iter()
            .map(|(name, args)| Token { key: u64::from(*name), name: *name, args: *args, rest: *args, ..Token::default() })
            .collect()
    }

    fn kinds(a: &[(u32, u32)], b: &[(u32, u32)]) -> Vec<Kind> {
        compare(&calls(a), &calls(b), &mut Renamed::new()).differences.iter().map(|d| d.kind).collect()
    }

    #[test]
    fn each_kind_is_told_apart() {
        assert_eq!(kinds(&[(1, 0), (2, 0), (3, 0)], &[(1, 0), (3, 0)]), [Kind::Missing]);
        assert_eq!(kinds(&[(1, 0), (3, 0)], &[(1, 0), (2, 0), (3, 0)]), [Kind::Extra]);
        assert_eq!(kinds(&[(1, 0), (2, 0), (3, 0)], &[(1, 0), (2, 9), (3, 0)]), [Kind::ArgsChanged]);
        assert_eq!(kinds(&[(1, 0), (2, 0), (3, 0)], &[(1, 0), (4, 0), (3, 0)]), [Kind::NameChanged]);
        assert_eq!(kinds(&[(9, 0), (1, 0), (2, 0), (3, 0)], &[(1, 0), (2, 0), (3, 0), (9, 0)]), [Kind::Reordered]);
        assert_eq!(kinds(&[(1, 0), (2, 0)], &[(1, 0), (2, 0)]), []);
    }

    #[test]
    fn every_call_is_accounted_for_once() {
        let a = calls(&[(1, 0), (2, 0), (2, 1), (5, 0), (3, 0), (3, 1)]);
        let b = calls(&[(2, 0), (7, 0), (3, 0), (2, 1), (3, 2), (8, 0)]);
        let found = compare(&a, &b, &mut Renamed::new());
        let mut left: Vec<usize> = found.equal.iter().map(|p| p.0).chain(found.differences.iter().filter_map(|d| d.a)).collect();
        let mut right: Vec<usize> = found.equal.iter().map(|p| p.1).chain(found.differences.iter().filter_map(|d| d.b)).collect();
        left.sort_unstable();
        right.sort_unstable();
        assert_eq!(left, (0..a.len()).collect::<Vec<_>>());
        assert_eq!(right, (0..b.len()).collect::<Vec<_>>());
    }
}
