// SPDX-License-Identifier: Apache-2.0
//! Aligns two sequences of numbers: common ends first, then anchors that are unique on both sides (patience), then the shortest
//! edit script in linear space (Myers 1986, "An O(ND) Difference Algorithm and Its Variations", §4b) with bounded effort.

use std::collections::HashMap;

/// Edits after which a search gives up on the shortest script and takes the furthest point reached: the cost stays linear.
const MOST_EDITS: usize = 256;

/// Pairs of indices of equal elements, strictly increasing on both sides.
#[must_use]
pub fn align(a: &[u64], b: &[u64]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::with_capacity(a.len().min(b.len()));
    let mut work = vec![Span { a: (0, a.len()), b: (0, b.len()), patient: true }];
    while let Some(span) = work.pop() {
        span.solve(a, b, &mut work, &mut pairs);
    }
    pairs.sort_unstable();
    pairs
}

/// A part of each sequence that is still to be aligned; a list of these in place of recursion, which deep input could exhaust.
struct Span {
    a: (usize, usize),
    b: (usize, usize),
    patient: bool,
}

impl Span {
    fn solve(mut self, a: &[u64], b: &[u64], work: &mut Vec<Span>, pairs: &mut Vec<(usize, usize)>) {
        while self.a.0 < self.a.1 && self.b.0 < self.b.1 && a[self.a.0] == b[self.b.0] {
            pairs.push((self.a.0, self.b.0));
            (self.a.0, self.b.0) = (self.a.0 + 1, self.b.0 + 1);
        }
        while self.a.0 < self.a.1 && self.b.0 < self.b.1 && a[self.a.1 - 1] == b[self.b.1 - 1] {
            (self.a.1, self.b.1) = (self.a.1 - 1, self.b.1 - 1);
            pairs.push((self.a.1, self.b.1));
        }
        if self.a.0 == self.a.1 || self.b.0 == self.b.1 {
            return;
        }
        let (left, right) = (&a[self.a.0..self.a.1], &b[self.b.0..self.b.1]);
        let anchors = if self.patient { anchors(left, right) } else { Vec::new() };
        if anchors.is_empty() {
            self.split(left, right, work);
        } else {
            self.cut(&anchors, work, pairs);
        }
    }

    /// Leaves the parts between anchors to be aligned.
    fn cut(&self, anchors: &[(usize, usize)], work: &mut Vec<Span>, pairs: &mut Vec<(usize, usize)>) {
        let mut from = (self.a.0, self.b.0);
        for (x, y) in anchors {
            let at = (self.a.0 + x, self.b.0 + y);
            work.push(Span { a: (from.0, at.0), b: (from.1, at.1), patient: true });
            pairs.push(at);
            from = (at.0 + 1, at.1 + 1);
        }
        work.push(Span { a: (from.0, self.a.1), b: (from.1, self.b.1), patient: true });
    }

    fn split(&self, left: &[u64], right: &[u64], work: &mut Vec<Span>) {
        let Some((x, y)) = middle(left, right) else { return };
        let at = (self.a.0 + x, self.b.0 + y);
        if (at.0, at.1) == (self.a.0, self.b.0) || (at.0, at.1) == (self.a.1, self.b.1) {
            return; // nothing in common
        }
        work.push(Span { a: (self.a.0, at.0), b: (self.b.0, at.1), patient: false });
        work.push(Span { a: (at.0, self.a.1), b: (at.1, self.b.1), patient: false });
    }
}

/// Elements that occur once on each side, the longest run of them that is in the same order on both.
fn anchors(a: &[u64], b: &[u64]) -> Vec<(usize, usize)> {
    let mut seen: HashMap<u64, (usize, u32, usize, u32)> = HashMap::with_capacity(a.len());
    for (index, value) in a.iter().enumerate() {
        let entry = seen.entry(*value).or_insert((index, 0, 0, 0));
        entry.1 += 1;
    }
    for (index, value) in b.iter().enumerate() {
        if let Some(entry) = seen.get_mut(value) {
            (entry.2, entry.3) = (index, entry.3 + 1);
        }
    }
    let mut unique: Vec<(usize, usize)> = seen.values().filter(|e| e.1 == 1 && e.3 == 1).map(|e| (e.0, e.2)).collect();
    unique.sort_unstable();
    increasing(&unique)
}

/// The longest subsequence whose second members increase. Source: patience sorting, Fredman 1975.
fn increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; pairs.len()];
    for index in 0..pairs.len() {
        let place = tails.partition_point(|tail| pairs[*tail].1 < pairs[index].1);
        before[index] = place.checked_sub(1).map(|p| tails[p]);
        if place == tails.len() {
            tails.push(index);
        } else {
            tails[place] = index;
        }
    }
    let mut found = Vec::with_capacity(tails.len());
    let mut at = tails.last().copied();
    while let Some(index) = at {
        found.push(pairs[index]);
        at = before[index];
    }
    found.reverse();
    found
}

/// Furthest x on each diagonal k = x - y, for k in -size..=size.
struct Front {
    size: isize,
    x: Vec<isize>,
}

impl Front {
    fn new(size: isize) -> Front {
        Front { size, x: vec![-1; usize::try_from(2 * size + 3).unwrap_or(0)] }
    }

    fn at(&mut self, k: isize) -> &mut isize {
        let index = usize::try_from(k + self.size + 1).unwrap_or(0);
        &mut self.x[index]
    }

    /// One more edit on diagonal k, then along equal elements as far as they go.
    fn advance(&mut self, k: isize, d: isize, n: (isize, isize), equal: impl Fn(isize, isize) -> bool) -> isize {
        let (below, above) = (*self.at(k - 1), *self.at(k + 1));
        let mut x = if k == -d || (k != d && below < above) { above } else { below + 1 };
        x = x.clamp(0.max(k), n.0.min(n.1 + k).max(0.max(k)));
        while x < n.0 && x - k < n.1 && equal(x, x - k) {
            x += 1;
        }
        *self.at(k) = x;
        x
    }
}

/// A point on a shortest (or, beyond the bound, a good) path; None when the sides are too short to have one.
fn middle(a: &[u64], b: &[u64]) -> Option<(usize, usize)> {
    let n = (isize::try_from(a.len()).ok()?, isize::try_from(b.len()).ok()?);
    let delta = n.0 - n.1;
    let most = isize::try_from(MOST_EDITS).ok()?.min((n.0 + n.1 + 1) / 2 + 1);
    let (mut ahead, mut back) = (Front::new(most + 1), Front::new(most + 1));
    *ahead.at(1) = 0;
    *back.at(1) = 0;
    let at = |s: &[u64], i: isize| usize::try_from(i).ok().and_then(|i| s.get(i).copied());
    let inside = |k: isize| k <= n.0 && -k <= n.1;
    let mut best = (0, 0);
    for d in 0..=most {
        for k in (-d..=d).step_by(2).filter(|k| inside(*k)) {
            let x = ahead.advance(k, d, n, |x, y| at(a, x) == at(b, y));
            best = if x + (x - k) > best.0 + best.1 { (x, x - k) } else { best };
            let mirror = delta - k;
            if delta % 2 != 0 && mirror.abs() < d && n.0 - *back.at(mirror) <= x {
                return point(x, x - k);
            }
        }
        for k in (-d..=d).step_by(2).filter(|k| inside(*k)) {
            let x = back.advance(k, d, n, |x, y| at(a, n.0 - 1 - x) == at(b, n.1 - 1 - y));
            let mirror = delta - k;
            if delta % 2 == 0 && mirror.abs() <= d && *ahead.at(mirror) >= 0 && n.0 - x <= *ahead.at(mirror) {
                return point(n.0 - x, n.1 - (x - k));
            }
        }
    }
    point(best.0, best.1)
}

fn point(x: isize, y: isize) -> Option<(usize, usize)> {
    Some((usize::try_from(x).ok()?, usize::try_from(y).ok()?))
}

#[cfg(test)]
mod tests {
    use super::align;
    use proptest::prelude::*;

    fn longest_common(a: &[u64], b: &[u64]) -> usize {
        let mut row = vec![0usize; b.len() + 1];
        for x in a {
            let mut corner = 0;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if x == y { corner + 1 } else { above.max(row[j]) };
                corner = above;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn pairs_are_equal_and_in_order(a in prop::collection::vec(0u64..6, 0..60), b in prop::collection::vec(0u64..6, 0..60)) {
            let pairs = align(&a, &b);
            prop_assert!(pairs.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1));
            prop_assert!(pairs.iter().all(|(x, y)| a[*x] == b[*y]));
        }

        #[test]
        fn without_unique_anchors_nothing_longer_exists(a in prop::collection::vec(0u64..3, 0..40), b in prop::collection::vec(0u64..3, 0..40)) {
            // doubled, no element is unique, so that the anchors of patience cannot cost length
            let double = |s: &[u64]| s.iter().chain(&[7, 7, 8, 8]).chain(s).copied().collect::<Vec<_>>();
            let (a, b) = (double(&a), double(&b));
            prop_assume!(a.len() > 12 && b.len() > 12);
            let found = align(&a, &b).len();
            prop_assert!(found <= longest_common(&a, &b));
            prop_assert!(found * 10 >= longest_common(&a, &b) * 9, "{found} of {}", longest_common(&a, &b));
        }

        #[test]
        fn equal_sequences_align_whole(a in prop::collection::vec(0u64..4, 0..200)) {
            prop_assert_eq!(align(&a, &a).len(), a.len());
        }
    }

    #[test]
    fn one_insertion_among_many_is_found_alone() {
        let a: Vec<u64> = (0..200_000u64).map(|n| n % 97).collect();
        let mut b = a.clone();
        b.insert(100_000, 1_000);
        assert_eq!(align(&a, &b).len(), a.len());
    }

    #[test]
    fn sequences_without_anything_in_common_take_linear_effort() {
        let a: Vec<u64> = (0..20_000u64).map(|n| n % 5).collect();
        let b: Vec<u64> = (0..20_000u64).map(|n| 10 + n % 5).collect();
        assert_eq!(align(&a, &b), vec![]);
    }
}
