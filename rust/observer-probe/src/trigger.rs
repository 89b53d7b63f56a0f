// SPDX-License-Identifier: Apache-2.0
//! What fires: conditions over calls, signals, ends of processes and the machine's state; requests over a Unix socket.

use crate::error::ProbeError;
use crate::plan::ARCH;
use observer_model::condition::{Condition, Facts, Value};
use observer_model::{decode, errno_name, signal_name, ArgClass, Record, SyscallRecord};
use observer_recording::outcome::Outcome;
use serde_json::{json, Map, Value as Json};
use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who a process is, for conditions.
#[derive(Clone, Debug, Default)]
struct Who {
    exe: Option<String>,
    container: Option<String>,
}

struct Trigger {
    condition: Condition,
    /// The risk rule it stands for.
    rule: Option<String>,
    /// Numbers of the only calls for which it can hold.
    only: Option<BTreeSet<u32>>,
    machine: bool,
    hits: u64,
    first: Option<Json>,
}

/// All that may fire.
pub struct Triggers {
    triggers: Vec<Trigger>,
    who: HashMap<u32, Who>,
    control: Option<Control>,
}

/// Facts of one thing that happened.
struct Seen<'a> {
    kind: &'static str,
    pid: u32,
    tid: u32,
    call: Option<&'a SyscallRecord>,
    signal: Option<u32>,
    exit_code: Option<i64>,
    who: Option<&'a Who>,
}

fn unquoted(text: &str) -> String {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text).to_owned()
}

fn text(t: Option<String>) -> Value {
    t.map_or(Value::Nothing, Value::Text)
}

impl Seen<'_> {
    fn of_call(&self, call: &SyscallRecord, name: &str) -> Value {
        let decoded = || decode(ARCH, call);
        match name {
            "syscall" => Value::Text(observer_model::lookup(ARCH, call.nr).map_or_else(|| decoded().name, |c| c.name.to_owned())),
            "args" => Value::List(decoded().args.iter().map(|arg| Value::Text(unquoted(&arg.text))).collect()),
            "path" => text(decoded().args.iter().find(|arg| arg.class == ArgClass::Path).map(|arg| unquoted(&arg.text))),
            "result" => Value::Number(i128::from(call.result)),
            "errno" => text(call.errno().and_then(errno_name).map(str::to_owned)),
            "outcome" => Value::Text(Outcome::of(call).name().to_owned()),
            "failed" => Value::Bool(matches!(Outcome::of(call), Outcome::Failed | Outcome::Denied | Outcome::Interrupted)),
            "denied" => Value::Bool(Outcome::of(call) == Outcome::Denied),
            "duration_ns" => Value::Number(i128::from(call.duration_ns)),
            _ => Value::Nothing,
        }
    }
}

impl Facts for Seen<'_> {
    fn fact(&self, name: &str) -> Value {
        match name {
            "kind" => Value::Text(self.kind.to_owned()),
            "pid" => Value::Number(i128::from(self.pid)),
            "tid" => Value::Number(i128::from(self.tid)),
            "exe" => text(self.who.and_then(|w| w.exe.clone())),
            "container" => text(self.who.and_then(|w| w.container.clone())),
            "signal" => text(self.signal.and_then(signal_name)),
            "exit_code" => self.exit_code.map_or(Value::Nothing, |n| Value::Number(i128::from(n))),
            _ => self.call.map_or(Value::Nothing, |call| self.of_call(call, name)),
        }
    }
}

/// The state of the machine a moment ago.
struct Machine {
    lost: u64,
}

impl Facts for Machine {
    fn fact(&self, name: &str) -> Value {
        match name {
            "kind" => Value::Text("machine".to_owned()),
            "lost" => Value::Number(i128::from(self.lost)),
            _ => name.strip_prefix("psi.").and_then(pressure).map_or(Value::Nothing, |n| Value::Number(i128::from(n))),
        }
    }
}

/// `some avg10` of a resource, rounded down. Source: linux Documentation/accounting/psi.rst.
fn pressure(resource: &str) -> Option<u64> {
    let text = std::fs::read_to_string(Path::new("/proc/pressure").join(resource)).ok()?;
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let value = line.split(' ').find_map(|word| word.strip_prefix("avg10="))?;
    value.split('.').next()?.parse().ok()
}

impl Triggers {
    /// Parses the conditions and opens the socket.
    pub fn new(conditions: &[String], rules: &HashMap<String, String>, control: Option<&Path>) -> Result<Triggers, ProbeError> {
        let mut triggers = Vec::new();
        for text in conditions {
            let condition = Condition::parse(text)
                .map_err(|e| ProbeError::Config(format!("the condition {text:?}: {e}; see docs/spec/conditions.md")))?;
            let number = |name: &String| {
                let found = observer_model::by_name(ARCH, name).map(|call| call.nr);
                found.ok_or_else(|| ProbeError::Config(format!("the condition {text:?}: no system call is called {name:?} here")))
            };
            let only = condition.syscalls().map(|names| names.iter().map(number).collect()).transpose()?;
            let machine = condition.mentions("psi.") || condition.mentions("lost") || condition.mentions("kind");
            triggers.push(Trigger { condition, rule: rules.get(text).cloned(), only, machine, hits: 0, first: None });
        }
        Ok(Triggers { triggers, who: HashMap::new(), control: control.map(Control::open).transpose()? })
    }

    /// Whether any condition may hold for a call of this number.
    #[must_use]
    pub fn may_fire(&self, nr: u32) -> bool {
        self.triggers.iter().any(|t| t.only.as_ref().is_none_or(|set| set.contains(&nr)))
    }

    /// Looks at a record.
    pub fn record(&mut self, record: &Record) {
        let (pid, tid, nr) = match record {
            Record::Call(call) => (call.pid, call.tid, Some(call.nr)),
            Record::Signal(signal) => (signal.pid, signal.tid, None),
        };
        let seen = Seen {
            kind: if nr.is_some() { "call" } else { "signal" },
            pid,
            tid,
            call: if let Record::Call(call) = record { Some(call) } else { None },
            signal: if let Record::Signal(signal) = record { Some(signal.signo) } else { None },
            exit_code: None,
            who: self.who.get(&pid),
        };
        let may = |t: &Trigger| t.only.as_ref().is_none_or(|set| nr.is_some_and(|nr| set.contains(&nr)));
        for trigger in self.triggers.iter_mut().filter(|t| may(t)) {
            if trigger.condition.holds(&seen) {
                trigger.hit(record.start_ns(), pid, seen.who);
            }
        }
    }

    /// Looks at a process line.
    pub fn line(&mut self, at_ns: u64, line: &Json) {
        if line["type"] != "process" {
            return;
        }
        let Some(pid) = line["pid"].as_u64().and_then(|n| u32::try_from(n).ok()) else { return };
        match line["what"].as_str() {
            Some("start" | "exec") => self.meet(pid, line),
            Some("exit") => {
                let who = self.who.remove(&pid);
                let signal = line["signal"].as_u64().and_then(|n| u32::try_from(n).ok());
                let exit_code = line["exit_code"].as_i64();
                let seen = Seen { kind: "exit", pid, tid: pid, call: None, signal, exit_code, who: who.as_ref() };
                for trigger in self.triggers.iter_mut().filter(|t| t.only.is_none()) {
                    if trigger.condition.holds(&seen) {
                        trigger.hit(at_ns, pid, seen.who);
                    }
                }
            }
            _ => {}
        }
    }

    fn meet(&mut self, pid: u32, line: &Json) {
        let parent = line["ppid"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let inherited = self.who.get(&pid).or_else(|| self.who.get(&parent)).cloned().unwrap_or_default();
        let of = |key: &str| line[key].as_str().map(str::to_owned);
        let who = Who { exe: of("exe").or(inherited.exe), container: of("container_id").or(inherited.container) };
        self.who.insert(pid, who);
    }

    /// Looks at the machine and the socket.
    pub fn tick(&mut self, now: u64, lost: u64) {
        for trigger in self.triggers.iter_mut().filter(|t| t.machine) {
            if trigger.condition.holds(&Machine { lost }) {
                trigger.hit(now, 0, None);
            }
        }
    }

    /// Something has fired and was not yet told.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.triggers.iter().any(|t| t.hits > 0)
    }

    /// What fired since last asked, one object for each.
    pub fn take(&mut self) -> Vec<Json> {
        let mut out = Vec::new();
        for trigger in &mut self.triggers {
            let Some(mut first) = trigger.first.take() else { continue };
            first["hits"] = json!(trigger.hits);
            trigger.hits = 0;
            out.push(first);
        }
        out.extend(self.control.as_ref().map(Control::requests).unwrap_or_default());
        out
    }
}

impl Trigger {
    fn hit(&mut self, at_ns: u64, pid: u32, who: Option<&Who>) {
        self.hits += 1;
        if self.first.is_some() {
            return;
        }
        let mut facts = Map::new();
        facts.insert("condition".into(), json!(self.condition.text()));
        facts.extend(self.rule.as_ref().map(|rule| ("rule".to_owned(), json!(rule))));
        facts.insert("at_ns".into(), json!(at_ns));
        if pid != 0 {
            facts.insert("pid".into(), json!(pid));
            facts.insert("exe".into(), json!(who.and_then(|w| w.exe.clone())));
        }
        self.first = Some(Json::Object(facts));
    }
}

/// A socket for requests: one line of text, the reason; only this user and root are heard.
struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// Longest request, bytes.
const REQUEST_MAX: usize = 1024;

impl Control {
    fn open(path: &Path) -> Result<Control, ProbeError> {
        let listener = UnixListener::bind(path).map_err(ProbeError::io("make the control socket"))?;
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private).map_err(ProbeError::io("protect the control socket"))?;
        listener.set_nonblocking(true).map_err(ProbeError::io("make the control socket"))?;
        Ok(Control { listener, path: path.to_owned() })
    }

    fn requests(&self) -> Vec<Json> {
        let mut out = Vec::new();
        while let Ok((mut stream, _)) = self.listener.accept() {
            let Some((pid, uid)) = peer(&stream) else { continue };
            // SAFETY: geteuid has no preconditions and cannot fail.
            if uid != 0 && uid != unsafe { libc::geteuid() } {
                continue;
            }
            let mut text = [0u8; REQUEST_MAX];
            let _ = stream.set_nonblocking(false);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
            let length = stream.read(&mut text).unwrap_or(0);
            let reason = String::from_utf8_lossy(&text[..length]).trim().to_owned();
            let _ = stream.write_all(b"sealing\n");
            out.push(json!({"request": reason, "pid": pid, "uid": uid}));
        }
        out
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Process and user at the other end. Source: unix(7), SO_PEERCRED.
fn peer(stream: &UnixStream) -> Option<(i32, u32)> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).ok()?;
    let to = std::ptr::addr_of_mut!(who).cast();
    // SAFETY: `who` has `size` bytes to write to.
    let done = unsafe { libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, to, &mut size) };
    (done == 0).then_some((who.pid, who.uid))
}
