// SPDX-License-Identifier: Apache-2.0
//! Matches the process trees of two recordings, before any call is looked at.

use crate::align::align;
use crate::tree::{Node, Tree};
use std::collections::hash_map::DefaultHasher;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

/// Which process or thread of one recording is which of the other.
#[derive(Debug, Default)]
pub struct Pairing {
    /// Node of A → node of B.
    pub pairs: Vec<(usize, usize)>,
    /// Nodes of A without one in B.
    pub only_a: Vec<usize>,
    /// Nodes of B without one in A.
    pub only_b: Vec<usize>,
    /// One name per node of A: equal names are the same process.
    pub names_a: Vec<String>,
    /// One name per node of B.
    pub names_b: Vec<String>,
}

/// Matches two trees from their roots down.
#[must_use]
pub fn pair(a: &Tree, b: &Tree) -> Pairing {
    let mut pairing = Pairing::default();
    let mut work = match_siblings(a, b, &a.roots, &b.roots);
    if let (true, Some(x), Some(y)) = (work.is_empty(), a.roots.first(), b.roots.first()) {
        work.push((*x, *y)); // two programs that have nothing in common are compared all the same
    }
    while let Some((x, y)) = work.pop() {
        pairing.pairs.push((x, y));
        work.extend(match_siblings(a, b, &a.nodes[x].children, &b.nodes[y].children));
    }
    pairing.pairs.sort_unstable();
    let mut names_a: Vec<String> = a.nodes.iter().map(|n| format!("A:{}", n.place)).collect();
    let mut names_b: Vec<String> = b.nodes.iter().map(|n| format!("B:{}", n.place)).collect();
    let (mut has_a, mut has_b) = (vec![false; names_a.len()], vec![false; names_b.len()]);
    for (x, y) in &pairing.pairs {
        names_a[*x].clone_from(&a.nodes[*x].place);
        names_b[*y].clone_from(&a.nodes[*x].place);
        (has_a[*x], has_b[*y]) = (true, true);
    }
    pairing.only_a = (0..has_a.len()).filter(|n| !has_a[*n]).collect();
    pairing.only_b = (0..has_b.len()).filter(|n| !has_b[*n]).collect();
    (pairing.names_a, pairing.names_b) = (names_a, names_b);
    pairing
}

fn digest(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// What a process ran, with all arguments.
fn whole(node: &Node) -> u64 {
    digest((node.is_thread, &node.execs))
}

/// What a process ran, by the file names of the programs.
fn program(node: &Node) -> u64 {
    let names: Vec<&str> = node.execs.iter().map(|(exe, _)| exe.rsplit('/').next().unwrap_or(exe)).collect();
    digest((node.is_thread, names))
}

/// Matches children: the same command lines in order, then in any order, then the same programs, then what is left over if it
/// is one of a kind on either side.
fn match_siblings(a: &Tree, b: &Tree, left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    let mut open = Open { left: left.to_vec(), right: right.to_vec(), pairs: Vec::new() };
    open.in_order(|x| whole(&a.nodes[x]), |y| whole(&b.nodes[y]));
    open.in_any_order(|x| whole(&a.nodes[x]), |y| whole(&b.nodes[y]));
    open.in_order(|x| program(&a.nodes[x]), |y| program(&b.nodes[y]));
    open.in_any_order(|x| program(&a.nodes[x]), |y| program(&b.nodes[y]));
    for threads in [false, true] {
        let xs: Vec<usize> = open.left.iter().copied().filter(|x| a.nodes[*x].is_thread == threads).collect();
        let ys: Vec<usize> = open.right.iter().copied().filter(|y| b.nodes[*y].is_thread == threads).collect();
        if let ([x], [y]) = (&xs[..], &ys[..]) {
            open.pairs.push((*x, *y));
        }
    }
    open.pairs
}

struct Open {
    left: Vec<usize>,
    right: Vec<usize>,
    pairs: Vec<(usize, usize)>,
}

impl Open {
    fn in_order(&mut self, key_a: impl Fn(usize) -> u64, key_b: impl Fn(usize) -> u64) {
        let keys_a: Vec<u64> = self.left.iter().map(|x| key_a(*x)).collect();
        let keys_b: Vec<u64> = self.right.iter().map(|y| key_b(*y)).collect();
        let found = align(&keys_a, &keys_b);
        self.take(&found.iter().map(|(i, j)| (self.left[*i], self.right[*j])).collect::<Vec<_>>());
    }

    fn in_any_order(&mut self, key_a: impl Fn(usize) -> u64, key_b: impl Fn(usize) -> u64) {
        let mut waiting: HashMap<u64, Vec<usize>> = HashMap::new();
        for y in self.right.iter().rev() {
            waiting.entry(key_b(*y)).or_default().push(*y);
        }
        let found: Vec<(usize, usize)> =
            self.left.iter().filter_map(|x| Some((*x, waiting.get_mut(&key_a(*x))?.pop()?))).collect();
        self.take(&found);
    }

    fn take(&mut self, found: &[(usize, usize)]) {
        let (gone_a, gone_b): (Vec<usize>, Vec<usize>) = found.iter().copied().unzip();
        let gone_a: std::collections::HashSet<usize> = gone_a.into_iter().collect();
        let gone_b: std::collections::HashSet<usize> = gone_b.into_iter().collect();
        self.left.retain(|x| !gone_a.contains(x));
        self.right.retain(|y| !gone_b.contains(y));
        self.pairs.extend_from_slice(found);
    }
}
