// SPDX-License-Identifier: Apache-2.0
//! What conditions mean, and what is refused.

use super::*;

struct Call;

impl Facts for Call {
    fn fact(&self, name: &str) -> Value {
        let text = |t: &str| Value::Text(t.to_owned());
        match name {
            "syscall" => text("openat"),
            "args" => Value::List(vec![text("AT_FDCWD"), text("/etc/passwd"), text("O_RDONLY")]),
            "path" => text("/etc/passwd"),
            "result" => Value::Number(-13),
            "errno" => text("EACCES"),
            "denied" => Value::Bool(true),
            _ => Value::Nothing,
        }
    }
}

fn holds(text: &str) -> bool {
    Condition::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).holds(&Call)
}

#[test]
fn what_holds() {
    for text in [
        "syscall == \"openat\" and args[1].contains(\"passwd\")",
        "syscall in [\"open\", 'openat']",
        "denied",
        "not (syscall == 'read') && result < 0",
        "path.matches('/etc/*ss?d')",
        "path.startswith('/etc') and path.endswith(\"wd\")",
        "result == -0xd || false",
        "'pass' in path",
        "errno != 'EPERM'",
        "args[1] == '/etc/pass\\x77d'",
        "syscall != 3",
        "args.contains('O_RDONLY')",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn what_does_not_hold() {
    for text in [
        "exit_code == 0",
        "exit_code != 0",
        "not true",
        "args[7] == ''",
        "signal.contains('')",
        "syscall < 3",
        "path.matches('etc*')",
        "psi.memory > 0",
        "''",
        "0",
        "[]",
        "denied and not denied",
        "syscall == 'x' or syscall == 'y' and denied",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn what_is_refused() {
    for (text, part) in [
        ("", "empty"),
        ("syscall = 'x'", "=="),
        ("sycall == 'x'", "syscall"),
        ("syscall == 'x", "does not end"),
        ("syscall ==", "too early"),
        ("path.exec('x')", "contains"),
        ("args[-1]", "index"),
        ("(denied", "missing"),
        ("denied denied", "more after"),
        ("__import__('os')", "no fact"),
        ("psi.disk > 1", "psi."),
        ("\u{202e}denied", "means nothing"),
        ("99999999999999999999999999999999999999999999 > 1", "no number"),
        ("and", "nothing before"),
    ] {
        let error = Condition::parse(text).unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert!(error.at <= text.len());
    }
    assert!(Condition::parse(&"(".repeat(4000)).is_err());
    assert!(Condition::parse(&"!".repeat(4000)).is_err());
    assert!(Condition::parse(&"[".repeat(4000)).is_err());
    assert!(Condition::parse(&" ".repeat(5000)).is_err());
}

#[test]
fn calls_are_told_beforehand() {
    let of = |text: &str| Condition::parse(text).unwrap().syscalls().map(|set| set.into_iter().collect::<Vec<_>>());
    assert_eq!(of("syscall == 'open' and path.contains('x')"), Some(vec!["open".to_owned()]));
    assert_eq!(of("syscall in ['a', 'b'] or 'c' == syscall"), Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    assert_eq!(of("syscall == 'a' or denied"), None);
    assert_eq!(of("not syscall == 'a'"), None);
}

#[test]
fn nothing_panics_on_rubbish() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let alphabet: Vec<char> = "\"'\\()[].,!=<>&|-_ 09axsyscallpathé\u{202e}\0".chars().collect();
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..(state % 40) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push(alphabet[(state % alphabet.len() as u64) as usize]);
        }
        state = state.wrapping_add(0x9e37_79b9);
        if let Ok(condition) = Condition::parse(&text) {
            let _ = condition.holds(&Call);
        }
    }
}
