// SPDX-License-Identifier: Apache-2.0
//! Conditions over the facts of one event: parsed once, interpreted, never executed. Source: docs/spec/conditions.md.

mod parse;

use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Longest condition, bytes.
pub const LENGTH_MAX: usize = 4096;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 64;

/// Names of facts.
pub const FACTS: [&str; 20] = [
    "args",
    "container",
    "denied",
    "duration_ns",
    "errno",
    "exe",
    "exit_code",
    "failed",
    "kind",
    "lost",
    "outcome",
    "path",
    "pid",
    "psi.cpu",
    "psi.io",
    "psi.memory",
    "result",
    "signal",
    "syscall",
    "tid",
];

/// Why a condition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// What is wrong.
    pub message: String,
    /// Byte at which it was noticed.
    pub at: usize,
}

impl std::fmt::Display for ConditionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (at character {})", self.message, self.at + 1)
    }
}

impl std::error::Error for ConditionError {}

/// A value of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The fact does not apply.
    Nothing,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(i128),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

/// Who answers for an event's facts; asked only for what a condition names, and only when it gets that far.
pub trait Facts {
    /// The fact of that name, [`Value::Nothing`] when it does not apply.
    fn fact(&self, name: &str) -> Value;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    Unequal,
    Less,
    LessEqual,
    More,
    MoreEqual,
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Contains,
    StartsWith,
    EndsWith,
    Matches,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Literal(Value),
    Fact(String),
    List(Vec<Expr>),
    Index(Box<Expr>, usize),
    Test(Box<Expr>, Test, String),
    Compare(Box<Expr>, Compare, Box<Expr>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

/// A parsed condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    text: String,
    expr: Expr,
}

impl Condition {
    /// Parses a condition.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        Ok(Condition { text: text.to_owned(), expr: parse::parse(text)? })
    }

    /// The condition as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for these facts.
    #[must_use]
    pub fn holds(&self, facts: &dyn Facts) -> bool {
        truth(&eval(&self.expr, facts))
    }

    /// Names of the only calls for which it can hold; None when it may hold for any, or for what is no call.
    #[must_use]
    pub fn syscalls(&self) -> Option<BTreeSet<String>> {
        names(&self.expr)
    }

    /// Whether it names a fact that begins with `prefix`.
    #[must_use]
    pub fn mentions(&self, prefix: &str) -> bool {
        mentions(&self.expr, prefix)
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Nothing => false,
        Value::Bool(b) => *b,
        Value::Number(n) => *n != 0,
        Value::Text(t) => !t.is_empty(),
        Value::List(l) => !l.is_empty(),
    }
}

fn eval(expr: &Expr, facts: &dyn Facts) -> Value {
    match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Fact(name) => facts.fact(name),
        Expr::List(items) => Value::List(items.iter().map(|item| eval(item, facts)).collect()),
        Expr::Index(of, index) => match eval(of, facts) {
            Value::List(mut items) if *index < items.len() => items.swap_remove(*index),
            _ => Value::Nothing,
        },
        Expr::Test(of, test, with) => match eval(of, facts) {
            Value::Text(text) => Value::Bool(tested(&text, *test, with)),
            Value::List(items) if *test == Test::Contains => Value::Bool(items.contains(&Value::Text(with.clone()))),
            _ => Value::Bool(false),
        },
        Expr::Compare(left, how, right) => Value::Bool(compared(&eval(left, facts), *how, &eval(right, facts))),
        Expr::Not(inner) => Value::Bool(!truth(&eval(inner, facts))),
        Expr::And(left, right) => Value::Bool(truth(&eval(left, facts)) && truth(&eval(right, facts))),
        Expr::Or(left, right) => Value::Bool(truth(&eval(left, facts)) || truth(&eval(right, facts))),
    }
}

fn tested(text: &str, test: Test, with: &str) -> bool {
    match test {
        Test::Contains => text.contains(with),
        Test::StartsWith => text.starts_with(with),
        Test::EndsWith => text.ends_with(with),
        Test::Matches => glob(with.as_bytes(), text.as_bytes()),
    }
}

/// `*` any run, `?` one character; linear in the product of lengths, without recursion.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
                while t < text.len() && text[t] & 0xc0 == 0x80 {
                    t += 1; // the rest of the same character
                }
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

fn compared(left: &Value, how: Compare, right: &Value) -> bool {
    if *left == Value::Nothing || *right == Value::Nothing {
        return false;
    }
    if how == Compare::In {
        return match (left, right) {
            (_, Value::List(items)) => items.contains(left),
            (Value::Text(part), Value::Text(whole)) => whole.contains(part.as_str()),
            _ => false,
        };
    }
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        _ => (left == right).then_some(Ordering::Equal),
    };
    match how {
        Compare::Equal => order == Some(Ordering::Equal),
        Compare::Unequal => order != Some(Ordering::Equal),
        Compare::Less => order == Some(Ordering::Less),
        Compare::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Compare::More => order == Some(Ordering::Greater),
        Compare::MoreEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Compare::In => false,
    }
}

fn names(expr: &Expr) -> Option<BTreeSet<String>> {
    let text = |e: &Expr| match e {
        Expr::Literal(Value::Text(t)) => Some(t.clone()),
        _ => None,
    };
    let is_syscall = |e: &Expr| matches!(e, Expr::Fact(name) if name == "syscall");
    match expr {
        Expr::Compare(left, Compare::Equal, right) if is_syscall(left) => text(right).map(|t| BTreeSet::from([t])),
        Expr::Compare(left, Compare::Equal, right) if is_syscall(right) => text(left).map(|t| BTreeSet::from([t])),
        Expr::Compare(left, Compare::In, right) if is_syscall(left) => match right.as_ref() {
            Expr::List(items) => items.iter().map(text).collect(),
            _ => None,
        },
        Expr::And(left, right) => match (names(left), names(right)) {
            (Some(a), Some(b)) => Some(a.intersection(&b).cloned().collect()),
            (a, b) => a.or(b),
        },
        Expr::Or(left, right) => Some(names(left)?.union(&names(right)?).cloned().collect()),
        _ => None,
    }
}

fn mentions(expr: &Expr, prefix: &str) -> bool {
    match expr {
        Expr::Literal(_) => false,
        Expr::Fact(name) => name.starts_with(prefix),
        Expr::List(items) => items.iter().any(|item| mentions(item, prefix)),
        Expr::Index(of, _) | Expr::Test(of, _, _) | Expr::Not(of) => mentions(of, prefix),
        Expr::Compare(a, _, b) | Expr::And(a, b) | Expr::Or(a, b) => mentions(a, prefix) || mentions(b, prefix),
    }
}

#[cfg(test)]
mod tests;
