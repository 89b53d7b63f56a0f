// SPDX-License-Identifier: Apache-2.0
//! From text to expression, by recursive descent with a bound on depth. Source: docs/spec/conditions.md §1.

use super::{Compare, ConditionError, Expr, Test, Value, DEPTH_MAX, FACTS, LENGTH_MAX};

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Text(String),
    Number(i128),
    Word(String),
    Mark(&'static str),
}

const MARKS: [&str; 17] = ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", ".", "-", "="];

fn fail<T>(message: impl Into<String>, at: usize) -> Result<T, ConditionError> {
    Err(ConditionError { message: message.into(), at })
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ConditionError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
        } else if c == '"' || c == '\'' {
            let (value, length) = quoted(rest, c, at)?;
            out.push((Token::Text(value), at));
            at += length;
        } else if c.is_ascii_digit() {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            out.push((Token::Number(number(&rest[..length], at)?), at));
            at += length;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            out.push((Token::Word(rest[..length].to_owned()), at));
            at += length;
        } else if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            if mark == "=" {
                return fail("'=' alone means nothing; '==' compares", at);
            }
            out.push((Token::Mark(mark), at));
            at += mark.len();
        } else {
            return fail(format!("{c:?} means nothing here"), at);
        }
    }
    Ok(out)
}

fn number(digits: &str, at: usize) -> Result<i128, ConditionError> {
    let plain = digits.replace('_', "");
    let parsed = match plain.get(..2) {
        Some("0x" | "0X") => i128::from_str_radix(&plain[2..], 16),
        Some("0o" | "0O") => i128::from_str_radix(&plain[2..], 8),
        _ => plain.parse(),
    };
    parsed.map_err(|_| ConditionError { message: format!("{digits:?} is no number"), at })
}

/// The value of a quoted text and its length with quotes.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(String, usize), ConditionError> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        if c == quote {
            return Ok((out, i + 1));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next().map(|(_, c)| c) {
            Some(c @ ('\\' | '"' | '\'')) => out.push(c),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some('x') => {
                let hex: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                let byte = u8::from_str_radix(&hex, 16).ok().filter(|b| hex.len() == 2 && b.is_ascii());
                match byte {
                    Some(byte) => out.push(char::from(byte)),
                    None => return fail("after \\x stand two hexadecimal digits, at most 7f", at + i),
                }
            }
            _ => return fail("unknown escape", at + i),
        }
    }
    fail("the text does not end", at)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
    end: usize,
}

pub(super) fn parse(text: &str) -> Result<Expr, ConditionError> {
    if text.len() > LENGTH_MAX {
        return fail(format!("longer than {LENGTH_MAX} bytes"), LENGTH_MAX);
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0, end: text.len() };
    if parser.tokens.is_empty() {
        return fail("the condition is empty", 0);
    }
    let expr = parser.or()?;
    if parser.next < parser.tokens.len() {
        return fail("there is more after the end of the condition", parser.at());
    }
    Ok(expr)
}

impl Parser {
    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(_, at)| *at)
    }

    fn mark(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some((Token::Mark(mark), _)) if *mark == wanted);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some((Token::Word(word), _)) if word == wanted);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), ConditionError> {
        if self.mark(wanted) {
            return Ok(());
        }
        fail(format!("{wanted:?} is missing"), self.at())
    }

    fn deeper(&mut self) -> Result<(), ConditionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return fail(format!("nested deeper than {DEPTH_MAX} levels"), self.at());
        }
        Ok(())
    }

    fn or(&mut self) -> Result<Expr, ConditionError> {
        self.deeper()?;
        let mut left = self.and()?;
        while self.word("or") || self.mark("||") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, ConditionError> {
        let mut left = self.not()?;
        while self.word("and") || self.mark("&&") {
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr, ConditionError> {
        if self.word("not") || self.mark("!") {
            self.deeper()?;
            let inner = self.not()?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        self.compared()
    }

    fn compared(&mut self) -> Result<Expr, ConditionError> {
        let left = self.value()?;
        let how = [
            ("==", Compare::Equal),
            ("!=", Compare::Unequal),
            ("<=", Compare::LessEqual),
            (">=", Compare::MoreEqual),
            ("<", Compare::Less),
            (">", Compare::More),
        ];
        for (mark, how) in how {
            if self.mark(mark) {
                return Ok(Expr::Compare(Box::new(left), how, Box::new(self.value()?)));
            }
        }
        if self.word("in") {
            return Ok(Expr::Compare(Box::new(left), Compare::In, Box::new(self.value()?)));
        }
        Ok(left)
    }

    fn value(&mut self) -> Result<Expr, ConditionError> {
        let mut value = self.plain()?;
        loop {
            if self.mark("[") {
                let at = self.at();
                let index = match self.take() {
                    Some(Token::Number(n)) => usize::try_from(n).ok(),
                    _ => None,
                };
                let Some(index) = index else { return fail("an index is a number from 0", at) };
                self.expect("]")?;
                value = Expr::Index(Box::new(value), index);
            } else if self.mark(".") {
                value = self.test(value)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).map(|(token, _)| token.clone());
        self.next += 1;
        token
    }

    fn test(&mut self, of: Expr) -> Result<Expr, ConditionError> {
        let at = self.at();
        let test = match self.take() {
            Some(Token::Word(word)) => match word.as_str() {
                "contains" => Test::Contains,
                "startswith" => Test::StartsWith,
                "endswith" => Test::EndsWith,
                "matches" => Test::Matches,
                _ => return fail(format!("no test is called {word:?}; contains, startswith, endswith, matches"), at),
            },
            _ => return fail("after '.' stands contains, startswith, endswith or matches", at),
        };
        self.expect("(")?;
        let at = self.at();
        let Some(Token::Text(with)) = self.take() else { return fail("a test takes a text in quotes", at) };
        self.expect(")")?;
        Ok(Expr::Test(Box::new(of), test, with))
    }

    fn plain(&mut self) -> Result<Expr, ConditionError> {
        let at = self.at();
        match self.take() {
            Some(Token::Text(text)) => Ok(Expr::Literal(Value::Text(text))),
            Some(Token::Number(n)) => Ok(Expr::Literal(Value::Number(n))),
            Some(Token::Mark("-")) => match self.take() {
                Some(Token::Number(n)) => Ok(Expr::Literal(Value::Number(-n))),
                _ => fail("after '-' stands a number", at),
            },
            Some(Token::Mark("(")) => {
                let inner = self.or()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Mark("[")) => self.list(),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Ok(Expr::Literal(Value::Bool(true))),
                "false" => Ok(Expr::Literal(Value::Bool(false))),
                "and" | "or" | "in" | "not" => fail(format!("{word:?} has nothing before it"), at),
                _ => self.fact(word, at),
            },
            Some(Token::Mark(mark)) => fail(format!("{mark:?} cannot stand here"), at),
            None => fail("the condition ends too early", at),
        }
    }

    fn list(&mut self) -> Result<Expr, ConditionError> {
        self.deeper()?;
        let mut items = Vec::new();
        while !self.mark("]") {
            items.push(self.value()?);
            if !self.mark(",") {
                self.expect("]")?;
                break;
            }
        }
        self.depth -= 1;
        Ok(Expr::List(items))
    }

    fn fact(&mut self, word: String, at: usize) -> Result<Expr, ConditionError> {
        let mut name = word;
        if FACTS.iter().any(|fact| fact.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))) && self.mark(".") {
            let Some(Token::Word(rest)) = self.take() else { return fail(format!("{name}. is no fact"), at) };
            name = format!("{name}.{rest}");
        }
        if FACTS.contains(&name.as_str()) {
            return Ok(Expr::Fact(name));
        }
        let near = FACTS.iter().min_by_key(|fact| distance(fact, &name)).copied().unwrap_or_default();
        fail(format!("no fact is called {name:?}; did you mean {near}?"), at)
    }
}

/// Edits that turn one word into the other; the words are short.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
