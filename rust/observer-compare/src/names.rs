// SPDX-License-Identifier: Apache-2.0
//! Takes out of text what differs between equal runs: process ids, addresses, names of temporary files.

/// What replaces a process id: the same words on both sides for the same process.
pub trait Ids {
    /// The name of a process or thread id of this recording, or None for a number that is none.
    fn name(&self, id: u32) -> Option<&str>;
}

/// Below this a number in a text is taken for a number, even when a process has it as its id.
const FIRST_PID_IN_TEXT: u32 = 300;
/// Directories whose files have made-up names.
const TEMPORARY: [&str; 5] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/var/run/"];
/// Shortest run of letters and digits that may be made up: what mkstemp(3) uses.
const SHORTEST_MADE_UP: usize = 6;

/// A path without ids and made-up names.
#[must_use]
pub fn path(text: &str, ids: &dyn Ids) -> String {
    let temporary = TEMPORARY.iter().any(|t| text.trim_start_matches('"').starts_with(t));
    let mut parts = Vec::new();
    let mut before = "";
    for part in text.split('/') {
        let id = part.trim_end_matches('"').parse::<u32>().ok().filter(|_| before == "proc" || before == "task");
        parts.push(match id.and_then(|id| ids.name(id)) {
            Some(name) => format!("<{name}>"),
            None if temporary || begins_made_up(part) => made_up(&numbers(part, ids)),
            None => numbers(part, ids),
        });
        before = part;
    }
    parts.join("/")
}

/// Text or data without ids and addresses.
#[must_use]
pub fn numbers(text: &str, ids: &dyn Ids) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let run = run_of(bytes, at, |b| b.is_ascii_digit());
        if run == 0 {
            let step = text[at..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&text[at..at + step]);
            at += step;
            continue;
        }
        if &text[at..at + run] == "0" && bytes.get(at + 1) == Some(&b'x') {
            let digits = run_of(bytes, at + 2, |b| b.is_ascii_hexdigit());
            let word = &text[at..at + 2 + digits];
            out.push_str(if digits >= 8 { "<address>" } else { word });
            at += 2 + digits;
            continue;
        }
        let word = &text[at..at + run];
        let id = word.parse::<u32>().ok().filter(|id| *id >= FIRST_PID_IN_TEXT);
        match id.and_then(|id| ids.name(id)) {
            Some(name) => out.extend(["<", name, ">"]),
            None => out.push_str(word),
        }
        at += run;
    }
    out
}

/// Content that a program wrote or read, without ids, addresses and made-up names.
#[must_use]
pub fn content(text: &str, ids: &dyn Ids) -> String {
    if !TEMPORARY.iter().any(|t| text.contains(t)) {
        return numbers(text, ids);
    }
    let words = text.split_inclusive(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    words.map(|w| if w.starts_with('/') { path(w, ids) } else { numbers(w, ids) }).collect()
}

/// What stands for a file that was just created in a temporary directory under eight letters that tempfile(3) makes up; None
/// for another name.
#[must_use]
pub fn of_new_file(text: &str) -> Option<String> {
    let (folder, name) = text.trim_end_matches('"').rsplit_once('/')?;
    let temporary = TEMPORARY.iter().any(|t| text.trim_start_matches('"').starts_with(t));
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (temporary && name.len() == 8 && letters).then(|| format!("{folder}/<made up>\""))
}

fn run_of(bytes: &[u8], from: usize, wanted: impl Fn(&u8) -> bool) -> usize {
    bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|b| wanted(b)).count())
}

fn begins_made_up(part: &str) -> bool {
    ["tmp", ".tmp", "tmp_obj_"].iter().any(|p| part.starts_with(p)) && part.len() > 8
}

/// Replaces the parts of a file's name that nobody would have thought of: `ccA1b2C3.o`, `tmp.Xy12Zw`, `tmpab12cd_9`.
fn made_up(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut word = String::new();
    for c in part.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_alphanumeric() || (c == '_' && word.starts_with("tmp")) {
            word.push(c);
            continue;
        }
        if looks_made_up(&word) {
            out.push_str("<made up>");
        } else {
            out.push_str(&word);
        }
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn looks_made_up(word: &str) -> bool {
    if word.len() < SHORTEST_MADE_UP {
        return false;
    }
    let body = ["tmp", "cc"].iter().find_map(|p| word.strip_prefix(p)).filter(|b| b.len() >= SHORTEST_MADE_UP);
    if let Some(body) = body {
        if word.starts_with("tmp") || body.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) {
            return true;
        }
    }
    let has = |test: fn(&u8) -> bool| word.as_bytes().iter().any(test);
    let inner_upper = word.bytes().skip(1).any(|b| b.is_ascii_uppercase());
    let kinds = [has(u8::is_ascii_digit), has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase)];
    kinds.iter().filter(|k| **k).count() >= 2 && (inner_upper || mixes_digits(word))
}

/// Digits in more than one place, or before letters: `a1b2c3`, not `file12`.
fn mixes_digits(word: &str) -> bool {
    let changes = word.as_bytes().windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit()).count();
    changes >= 2
}

#[cfg(test)]
mod tests {
    use super::{numbers, path, Ids};

    struct One;
    impl Ids for One {
        fn name(&self, id: u32) -> Option<&str> {
            (id == 4711 || id == 7).then_some("0.1")
        }
    }

    #[test]
    fn what_differs_between_equal_runs_is_taken_out() {
        for (given, wanted) in [
            ("\"/proc/4711/status\"", "\"/proc/<0.1>/status\""),
            ("\"/proc/7/maps\"", "\"/proc/<0.1>/maps\""),
            ("\"/tmp/ccA1b2C3.o\"", "\"/tmp/<made up>.o\""),
            ("\"/tmp/tmp.Xy12ZwQ1aB/x\"", "\"/tmp/tmp.<made up>/x\""),
            ("\"/tmp/tmpab12cd_9\"", "\"/tmp/<made up>\""),
            ("\"/tmp/report2024.txt\"", "\"/tmp/report2024.txt\""),
            ("\"/etc/passwd\"", "\"/etc/passwd\""),
            ("\"/home/x/A1b2C3d4\"", "\"/home/x/A1b2C3d4\""),
            ("\"/var/lib/x.4711.pid\"", "\"/var/lib/x.<0.1>.pid\""),
        ] {
            assert_eq!(path(given, &One), wanted);
        }
    }

    #[test]
    fn numbers_that_are_no_ids_stay() {
        assert_eq!(numbers("pid 4711 took 7 s at 0x7ffd12345678, not 0x10", &One), "pid <0.1> took 7 s at <address>, not 0x10");
        assert_eq!(numbers("é4711ß47110", &One), "é<0.1>ß47110");
    }
}
