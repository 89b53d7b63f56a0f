// SPDX-License-Identifier: Apache-2.0
//! Takes secrets out of texts before they leave: what is named as one, and what has the form of one. Source: docs/spec/export.md §10.

use crate::signal::{Log, Span, Value};
use std::borrow::Cow;
use std::cell::Cell;

/// Why a piece of text was taken out; its name stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The value of something called password or passphrase.
    Password,
    /// The value of something called secret or credential.
    Secret,
    /// The value of something called token or key.
    Token,
    /// An `Authorization` header.
    Authorization,
    /// A password in a URL.
    Url,
    /// A text with the form of a known kind of token.
    Form,
    /// A private key in PEM.
    PrivateKey,
}

/// Names of the rules, in their order.
pub const RULES: [&str; 7] = ["password", "secret", "token", "authorization", "url", "form", "private-key"];

const KEYS: [(&[u8], Rule); 15] = [
    (b"password", Rule::Password),
    (b"passwd", Rule::Password),
    (b"passphrase", Rule::Password),
    (b"mysql_pwd", Rule::Password),
    (b"secret", Rule::Secret),
    (b"credential", Rule::Secret),
    (b"token", Rule::Token),
    (b"api_key", Rule::Token),
    (b"api-key", Rule::Token),
    (b"apikey", Rule::Token),
    (b"access_key", Rule::Token),
    (b"access-key", Rule::Token),
    (b"private_key", Rule::Token),
    (b"authorization", Rule::Authorization),
    (b"private-key", Rule::Token),
];
/// Endings of a key that make it name something else than the secret itself.
const HARMLESS: [&[u8]; 7] = [b"file", b"path", b"name", b"id", b"dir", b"type", b"store"];
/// Beginnings of tokens that tell what they are, and how many characters follow at least.
const FORMS: [(&[u8], usize); 18] = [
    (b"AKIA", 16),
    (b"ASIA", 16),
    (b"AIza", 30),
    (b"ghp_", 20),
    (b"gho_", 20),
    (b"ghu_", 20),
    (b"ghs_", 20),
    (b"ghr_", 20),
    (b"github_pat_", 20),
    (b"glpat-", 16),
    (b"xoxb-", 16),
    (b"xoxp-", 16),
    (b"xoxa-", 16),
    (b"sk_live_", 16),
    (b"sk-ant-", 16),
    (b"hf_", 30),
    (b"npm_", 30),
    (b"eyJ", 40),
];
const PEM: &[u8] = b"PRIVATE KEY-----";
const SCHEMES: [&[u8]; 4] = [b"bearer", b"basic", b"token", b"digest"];
/// Attributes of log records whose values are made here: ids and words of a list.
const OURS: [&str; 2] = ["log.record.uid", "syscall.outcome"];
/// More of a text is not looked at for the end of a key's name or a URL.
const NEAR: usize = 256;

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'\\' | b'`')
}

fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace() || is_quote(byte) || matches!(byte, b',' | b';' | b'&' | b')' | b']' | b'}' | b'|' | b'<' | b'>')
}

/// One bit for each pair of bytes: whether something that is looked for begins with it. Most places of most texts are done with by this.
static BEGINNINGS: [u64; 1024] = beginnings();

const fn beginnings() -> [u64; 1024] {
    let mut table = [0; 1024];
    let mut index = 0;
    while index < KEYS.len() {
        let (first, second) = (KEYS[index].0[0], KEYS[index].0[1]);
        mark(&mut table, first, second);
        mark(&mut table, first.to_ascii_uppercase(), second);
        mark(&mut table, first, second.to_ascii_uppercase());
        mark(&mut table, first.to_ascii_uppercase(), second.to_ascii_uppercase());
        index += 1;
    }
    index = 0;
    while index < FORMS.len() {
        mark(&mut table, FORMS[index].0[0], FORMS[index].0[1]);
        index += 1;
    }
    mark(&mut table, PEM[0], PEM[1]);
    mark(&mut table, b':', b'/');
    table
}

const fn mark(table: &mut [u64; 1024], first: u8, second: u8) {
    table[(first as usize) << 2 | (second >> 6) as usize] |= 1 << (second & 63);
}

/// The next place from `at` on at which something may begin that is looked for.
fn next_beginning(bytes: &[u8], at: usize) -> Option<usize> {
    let begins = |pair: &[u8; 2]| BEGINNINGS[usize::from(pair[0]) << 2 | usize::from(pair[1] >> 6)] >> (pair[1] & 63) & 1 == 1;
    let mut last = *bytes.get(at)?;
    for (place, byte) in (at..).zip(&bytes[at + 1..]) {
        if begins(&[last, *byte]) {
            return Some(place);
        }
        last = *byte;
    }
    None
}

fn at_least(bytes: &[u8], from: usize, test: impl Fn(u8) -> bool) -> usize {
    bytes.get(from..).unwrap_or_default().iter().take_while(|byte| test(**byte)).count()
}

/// What is to be taken out because of what begins at `at`.
fn found(bytes: &[u8], at: usize) -> Option<(Rule, usize, usize)> {
    let rest = bytes.get(at..)?;
    if rest.starts_with(b"://") {
        return in_url(bytes, at + 3);
    }
    if rest.starts_with(PEM) {
        let begin = at + PEM.len();
        let end = bytes.get(begin..)?.windows(8).position(|w| w == b"-----END").map_or(bytes.len(), |found| begin + found);
        return (end > begin).then_some((Rule::PrivateKey, begin, end));
    }
    let alone = at == 0 || !bytes.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
    if let Some((form, least)) = FORMS.iter().find(|(form, _)| alone && rest.starts_with(form)) {
        let length = at_least(bytes, at + form.len(), |byte| is_word(byte) || byte == b'.');
        return (length >= *least).then_some((Rule::Form, at, at + form.len() + length));
    }
    let named = |key: &[u8]| rest.get(..key.len()).is_some_and(|word| word.eq_ignore_ascii_case(key));
    let (key, rule) = KEYS.iter().find(|(key, _)| named(key))?;
    of_key(bytes, at, at + key.len()).map(|(from, to)| (*rule, from, to))
}

/// The password of `scheme://user:password@host`.
fn in_url(bytes: &[u8], from: usize) -> Option<(Rule, usize, usize)> {
    let length = at_least(bytes, from, |byte| !ends_value(byte) && byte != b'/' && byte != b'?').min(NEAR);
    let authority = bytes.get(from..from + length)?;
    let host = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority.get(..host)?.iter().position(|byte| *byte == b':')?;
    (colon + 1 < host).then_some((Rule::Url, from + colon + 1, from + host))
}

/// The value of a key that lies from `at` to `end`: after `=` or `:`, or the next word or argument when the key is an option.
fn of_key(bytes: &[u8], at: usize, end: usize) -> Option<(usize, usize)> {
    let more = at_least(bytes, end, is_word).min(NEAR);
    let suffix = bytes.get(end..end + more)?;
    if HARMLESS.iter().any(|word| suffix.len() >= word.len() && suffix[suffix.len() - word.len()..].eq_ignore_ascii_case(word)) {
        return None;
    }
    let before = bytes[..at].iter().rev().take_while(|byte| is_word(**byte)).count();
    let option = bytes.get(at - before) == Some(&b'-');
    let mut next = end + more;
    next += at_least(bytes, next, is_quote);
    let sign = at_least(bytes, next, |byte| byte == b' ');
    match bytes.get(next + sign)? {
        b'=' if sign == 0 => next += 1,
        b':' => next += sign + 1,
        b',' if option && sign == 0 => next += 1,
        _ if option && sign > 0 => {}
        _ => return None,
    }
    next += at_least(bytes, next, |byte| byte == b' ' || is_quote(byte));
    let mut length = at_least(bytes, next, |byte| !ends_value(byte));
    let word = bytes.get(next..next + length)?;
    if SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) {
        next += length + at_least(bytes, next + length, |byte| byte == b' ');
        length = at_least(bytes, next, |byte| !ends_value(byte));
    }
    let value = bytes.get(next..next + length)?;
    (length > 0 && !value.starts_with(b"[redacted") && !value.starts_with(b"-")).then_some((next, next + length))
}

/// Whether a word is an option whose value is the next word.
fn announces(word: &str) -> Option<Rule> {
    let name = word.strip_prefix('-').filter(|_| !word.contains('='))?.as_bytes();
    let ends = |key: &[u8]| name.len() >= key.len() && name[name.len() - key.len()..].eq_ignore_ascii_case(key);
    KEYS.iter().find(|(key, _)| ends(key)).map(|(_, rule)| *rule)
}

/// Takes secrets out and counts them by rule; one that is switched off lets everything through.
#[derive(Debug, Default)]
pub struct Redactor {
    off: bool,
    counts: [Cell<u64>; RULES.len()],
}

impl Redactor {
    /// One that takes secrets out, or lets them through.
    #[must_use]
    pub fn new(on: bool) -> Redactor {
        Redactor { off: !on, ..Redactor::default() }
    }

    /// How much was taken out so far, by rule.
    #[must_use]
    pub fn counts(&self) -> [u64; RULES.len()] {
        std::array::from_fn(|rule| self.counts[rule].get())
    }

    fn count(&self, rule: Rule) -> String {
        let counter = &self.counts[rule as usize];
        counter.set(counter.get() + 1);
        format!("[redacted: {}]", RULES[rule as usize])
    }

    /// The text without what must not leave; also right for the text of JSON, whose quotes it keeps.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let bytes = text.as_bytes();
        let (mut out, mut done, mut at) = (String::new(), 0, 0);
        while let Some(place) = next_beginning(bytes, at).filter(|_| !self.off) {
            at = place;
            let Some((rule, from, to)) = found(bytes, at) else {
                at += 1;
                continue;
            };
            let (Some(kept), true) = (text.get(done..from), text.is_char_boundary(to)) else { break };
            out.push_str(kept);
            out.push_str(&self.count(rule));
            (done, at) = (to, to);
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(out)
    }

    fn value(&self, value: &mut Value<'_>) {
        match value {
            Value::Text(text) => self.replace(text),
            Value::List(words) => {
                let mut announced = None;
                for word in words {
                    if let Some(rule) = announced.take() {
                        *word = self.count(rule);
                        continue;
                    }
                    announced = announces(word).filter(|_| !self.off);
                    if let Cow::Owned(clean) = self.text(word) {
                        *word = clean;
                    }
                }
            }
            Value::Int(_) | Value::Real(_) | Value::Flag(_) => {}
        }
    }

    fn replace(&self, text: &mut Cow<'_, str>) {
        if let Cow::Owned(clean) = self.text(text) {
            *text = Cow::Owned(clean);
        }
    }

    /// The same for all texts of a log record.
    pub fn log(&self, log: &mut Log<'_>) {
        self.replace(&mut log.body);
        log.attributes.iter_mut().filter(|(name, _)| !OURS.contains(&name.as_ref())).for_each(|(_, value)| self.value(value));
    }

    /// The same for all texts of a span.
    pub fn span(&self, span: &mut Span) {
        span.attributes.iter_mut().for_each(|(_, value)| self.value(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        Redactor::new(true).text(text).into_owned()
    }

    #[test]
    fn what_is_named_a_secret_goes() {
        for (from, to) in [
            ("mysql --password=hunter2 db", "mysql --password=[redacted: password] db"),
            ("mysql --password hunter2 db", "mysql --password [redacted: password] db"),
            (
                r#"execve("/x", ["x", "--db-password", "hunter2", "-v"]) = 0"#,
                r#"execve("/x", ["x", "--db-password", "[redacted: password]", "-v"]) = 0"#,
            ),
            ("PGPASSWORD=a%b TOKEN=c", "PGPASSWORD=[redacted: password] TOKEN=[redacted: token]"),
            (r#"{"argv":["x","--api-key","k9"]}"#, r#"{"argv":["x","--api-key","[redacted: token]"]}"#),
            (r#"{\"client_secret\": \"s p\"}"#, r#"{\"client_secret\": \"[redacted: secret] p\"}"#),
            ("-H Authorization: Bearer abc.def", "-H Authorization: Bearer [redacted: authorization]"),
            ("postgres://me:pw@db:5432/x", "postgres://me:[redacted: url]@db:5432/x"),
            ("AKIAIOSFODNN7EXAMPLE", "[redacted: form]"),
            ("x ghp_0123456789012345678901234567 y", "x [redacted: form] y"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\\nMII\\n-----END RSA PRIVATE KEY-----",
                "-----BEGIN RSA PRIVATE KEY-----[redacted: private-key]-----END RSA PRIVATE KEY-----",
            ),
        ] {
            assert_eq!(clean(from), to);
        }
    }

    #[test]
    fn every_key_and_form_is_found_wherever_it_stands_in_any_case() {
        for (key, rule) in KEYS {
            let key = String::from_utf8_lossy(key);
            for key in [key.to_uppercase(), key.to_string()] {
                assert_eq!(clean(&format!("x {key}=v")), format!("x {key}=[redacted: {}]", RULES[rule as usize]));
            }
        }
        for (form, least) in FORMS {
            let token = format!("{}{}", String::from_utf8_lossy(form), "a".repeat(least));
            assert_eq!(clean(&format!("x {token} y")), "x [redacted: form] y");
        }
    }

    #[test]
    fn what_is_none_stays() {
        for text in [
            r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3"#,
            r#"openat(AT_FDCWD, "/run/secrets/token", O_RDONLY) = 3"#,
            "http://host:80/a@b",
            "--password-file=/x --token-path /y --secret-name z",
            "tokens are counted",
            "a password is asked for",
            "eyJ short",
            "passwd -l root",
            "",
            "é:/",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn options_announce_the_next_argument_and_all_is_counted() {
        let redactor = Redactor::new(true);
        let mut value = Value::List(["x", "--token", "a", "--password=b"].map(str::to_owned).to_vec());
        redactor.value(&mut value);
        let wanted = ["x", "--token", "[redacted: token]", "--password=[redacted: password]"];
        assert_eq!(value, Value::List(wanted.map(str::to_owned).to_vec()));
        assert_eq!(redactor.counts(), [1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(Redactor::new(false).text("token=a"), "token=a");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_and_done_once(text in "\\PC*", key in "(--)?(password|Token|api_key)(=|: |\": \")", value in "[a-z0-9]{1,9}") {
            let whole = format!("{text} {key}{value} {text}");
            let once = clean(&whole);
            proptest::prop_assert_eq!(clean(&once), once);
        }
    }
}
