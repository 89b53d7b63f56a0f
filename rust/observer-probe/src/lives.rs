// SPDX-License-Identifier: Apache-2.0
//! Who lives: the process lines of a recording, made from the probe's events and, for what already ran, from /proc.

use crate::abi::{flag, Event};
use crate::cgroups::Cgroups;
use crate::feed::Sink;
use crate::plan::ARCH;
use crate::stock;
use observer_evidence::Severity;
use serde_json::{json, Map, Value};
use std::collections::HashMap;

const CLONE_PARENT: u64 = 0x8000; // Source: clone(2)

/// What a process became at an exec.
pub struct Program<'a> {
    /// The path the kernel executed.
    pub filename: &'a [u8],
    /// Its argument vector, as the caller passed it.
    pub argv: Vec<Vec<u8>>,
}

/// A living process.
#[derive(Debug)]
struct Life {
    cgroup: u64,
    parent: u32,
    /// Working directory, as far as it can be followed.
    cwd: Option<String>,
    /// The facts of its newest start or exec line.
    facts: Map<String, Value>,
}

/// How the first process ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// Exit status.
    pub exit_code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
}

/// The living processes.
#[derive(Debug, Default)]
pub struct Lives {
    processes: HashMap<u32, Life>,
    /// What cgroups are called.
    pub cgroups: Cgroups,
    /// Container id by cgroup path.
    containers: Vec<(String, Value)>,
    /// The command's first process, and how it ended.
    pub root: Option<u32>,
    /// Set when the first process has ended.
    pub ending: Option<Ending>,
}

fn lossy(bytes: &[u8]) -> Value {
    json!(String::from_utf8_lossy(bytes))
}

fn line(what: &str, pid: u32, tid: u32, at_ns: u64) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("type".into(), json!("process"));
    out.insert("what".into(), json!(what));
    out.insert("pid".into(), json!(pid));
    out.insert("tid".into(), json!(tid));
    out.insert("at_ns".into(), json!(at_ns));
    out
}

fn ids(event: &Event) -> [(&'static str, u32); 4] {
    [("uid", event.uid), ("euid", event.euid), ("gid", event.gid), ("egid", event.egid)]
}

impl Lives {
    /// Nobody yet; `containers` are `{"cgroup": path, "container_id": …}`.
    #[must_use]
    pub fn new(containers: &[Value], root: Option<u32>) -> Lives {
        let named = |c: &Value| Some((c.get("cgroup")?.as_str()?.to_owned(), c.get("container_id")?.clone()));
        Lives { containers: containers.iter().filter_map(named).collect(), root, ..Lives::default() }
    }

    /// How many processes are known to live.
    #[must_use]
    pub fn count(&self) -> usize {
        self.processes.len()
    }

    fn place(&mut self, out: &mut Map<String, Value>, cgroup: u64) {
        out.insert("cgroup_id".into(), json!(cgroup));
        let path = match out.get("cgroup").and_then(Value::as_str) {
            Some(path) => path.to_owned(),
            None => match self.cgroups.name(cgroup) {
                Some(path) => path,
                None => return,
            },
        };
        let inside = |top: &str| path == top || path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
        if let Some((_, id)) = self.containers.iter().find(|(top, _)| inside(top)) {
            out.insert("container_id".into(), id.clone());
        }
        out.insert("cgroup".into(), json!(path));
    }

    /// A line for a process that ran before it was watched, from /proc; `cgroup` as the probe told it, or 0.
    pub fn existing(&mut self, pid: u32, at_ns: u64, cgroup: u64, with_files: bool, sink: &mut impl Sink) {
        let mut out = line("start", pid, pid, at_ns);
        out.insert("how".into(), json!("existing"));
        out.extend(stock::describe(pid, with_files));
        let cgroup = match out.get("cgroup").and_then(Value::as_str) {
            Some(path) if cgroup == 0 => self.cgroups.id(path),
            _ => cgroup,
        };
        if cgroup != 0 {
            out.extend(self.cgroups.name(cgroup).map(|name| ("cgroup".to_owned(), json!(name))));
        }
        self.place(&mut out, cgroup);
        self.keep(pid, cgroup, &out);
        sink.line(at_ns, Value::Object(out), Severity::Info);
    }

    /// The command's own first process, at its gate.
    pub fn initial(&mut self, pid: u32, at_ns: u64, sink: &mut impl Sink) {
        let mut out = line("start", pid, pid, at_ns);
        out.insert("how".into(), json!("initial"));
        out.insert("ppid".into(), json!(std::process::id()));
        out.extend(stock::cwd(pid).map(|cwd| ("cwd".to_owned(), json!(cwd))));
        self.keep(pid, 0, &out);
        sink.line(at_ns, Value::Object(out), Severity::Info);
    }

    fn keep(&mut self, pid: u32, cgroup: u64, facts: &Map<String, Value>) {
        let parent = facts.get("ppid").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let known = facts.get("cwd").and_then(Value::as_str).map(str::to_owned);
        let from = if self.processes.contains_key(&pid) { pid } else { parent };
        let cwd = known.or_else(|| self.processes.get(&from).and_then(|life| life.cwd.clone()));
        self.processes.insert(pid, Life { cgroup, parent, cwd, facts: facts.clone() });
    }

    /// Every event: a process not yet known, or in another cgroup than before, gets a line.
    pub fn seen(&mut self, event: &Event, sink: &mut impl Sink) {
        let head = &event.head;
        match self.processes.get_mut(&head.pid) {
            Some(life) if life.cgroup == event.cgroup => return,
            Some(life) if life.cgroup == 0 => {
                life.cgroup = event.cgroup;
                return;
            }
            Some(life) => life.cgroup = event.cgroup,
            None => {
                return self.existing(head.pid, head.at_ns, event.cgroup, true, sink);
            }
        }
        if self.cgroups.name(event.cgroup).is_none() {
            if let Some(path) = stock::cgroup_path(head.pid) {
                self.cgroups.learn(event.cgroup, path);
            }
        }
        let mut out = line("cgroup", head.pid, head.tid, head.at_ns);
        self.place(&mut out, event.cgroup);
        sink.line(head.at_ns, Value::Object(out), Severity::Info);
    }

    /// A thread's cgroup or user is new or another: threads of one process tell the same, which is said once.
    pub fn placed(&mut self, event: &Event, sink: &mut impl Sink) {
        let head = &event.head;
        self.seen(event, sink);
        let ids = ids(event);
        let Some(life) = self.processes.get_mut(&head.pid) else { return };
        if ids.iter().all(|(key, id)| life.facts.get(*key).is_none_or(|known| *known == json!(id))) {
            return;
        }
        let mut out = line("ids", head.pid, head.tid, head.at_ns);
        for (key, id) in ids {
            life.facts.insert(key.into(), json!(id));
            out.insert(key.into(), json!(id));
        }
        sink.line(head.at_ns, Value::Object(out), Severity::Info);
    }

    /// A process or thread was made.
    pub fn forked(&mut self, event: &Event, sink: &mut impl Sink) {
        let (head, child) = (&event.head, event.other_pid);
        self.seen(event, sink);
        let name = observer_model::lookup(ARCH, head.nr).map_or("", |call| call.name);
        let how = if ["clone", "clone3", "fork", "vfork"].contains(&name) { name } else { "fork" };
        let clone_flags = match how {
            "clone" => event.arg,
            "clone3" => u64::from(event.code.cast_unsigned()),
            _ => 0,
        };
        let thread = head.flags & flag::THREAD != 0;
        let mut out = line(if thread { "thread_start" } else { "start" }, child, event.other_tid, head.at_ns);
        out.insert("how".into(), json!(how));
        out.insert("parent_tid".into(), json!(head.tid));
        if thread {
            return sink.line(head.at_ns, Value::Object(out), Severity::Info);
        }
        let parent = self.processes.get(&head.pid).map_or(0, |life| life.parent);
        let parent = if clone_flags & CLONE_PARENT == 0 { head.pid } else { parent };
        out.insert("ppid".into(), json!(parent));
        out.extend(ids(event).into_iter().map(|(key, id)| (key.to_owned(), json!(id))));
        self.own_id(&mut out, event);
        self.place(&mut out, event.cgroup);
        self.keep(child, event.cgroup, &out);
        sink.line(head.at_ns, Value::Object(out), Severity::Info);
    }

    fn own_id(&self, out: &mut Map<String, Value>, event: &Event) {
        let pid = out.get("pid").and_then(Value::as_u64).unwrap_or(0);
        if u64::from(event.ns_pid) != pid && event.ns_pid != 0 {
            out.insert("ns_pid".into(), json!(event.ns_pid));
        }
        out.insert("pid_ns".into(), json!(event.pid_ns));
    }

    /// A process became another program.
    pub fn executed(&mut self, event: &Event, program: &Program<'_>, sink: &mut impl Sink) {
        let head = &event.head;
        self.seen(event, sink);
        let mut out = line("exec", head.pid, head.tid, head.at_ns);
        let parent = self.processes.get(&head.pid).map_or(0, |life| life.parent);
        out.insert("ppid".into(), json!(parent));
        let argv: Vec<Value> = program.argv.iter().map(|word| lossy(word)).collect();
        let now = still(head.pid, program.filename, &argv);
        out.insert("exe".into(), now.get("exe").cloned().unwrap_or_else(|| lossy(program.filename)));
        out.insert("argv".into(), if argv.is_empty() { now.get("argv").cloned().unwrap_or(json!([])) } else { json!(argv) });
        let cwd = self.processes.get(&head.pid).and_then(|life| life.cwd.clone());
        out.insert("cwd".into(), now.get("cwd").cloned().unwrap_or_else(|| json!(cwd)));
        out.extend(ids(event).into_iter().map(|(key, id)| (key.to_owned(), json!(id))));
        self.own_id(&mut out, event);
        self.place(&mut out, event.cgroup);
        if event.other_tid != head.tid {
            out.insert("from_tid".into(), json!(event.other_tid));
        }
        self.keep(head.pid, event.cgroup, &out);
        sink.line(head.at_ns, Value::Object(out), Severity::Info);
    }

    /// A call succeeded that changes the working directory; `path` is what it named, None for a descriptor.
    pub fn moved(&mut self, pid: u32, path: Option<&[u8]>) {
        let Some(life) = self.processes.get_mut(&pid) else { return };
        let named = path.map(|p| String::from_utf8_lossy(p).into_owned());
        life.cwd = match (named, life.cwd.take()) {
            (Some(path), _) if path.starts_with('/') => Some(path),
            (Some(path), Some(from)) => Some(format!("{}/{path}", from.trim_end_matches('/'))),
            _ => stock::cwd(pid),
        };
    }

    /// A thread ended, and with its last thread the process.
    pub fn ended(&mut self, event: &Event, sink: &mut impl Sink) {
        let head = &event.head;
        if head.tid != head.pid {
            sink.line(head.at_ns, Value::Object(line("thread_exit", head.pid, head.tid, head.at_ns)), Severity::Info);
        }
        if head.flags & flag::GROUP_DEAD == 0 {
            return;
        }
        let signal = event.code & 0x7f;
        let mut out = line("exit", head.pid, head.pid, head.at_ns);
        if let Some(life) = self.processes.remove(&head.pid) {
            out.insert("ppid".into(), json!(life.parent));
        }
        let mut ending = Ending::default();
        if signal == 0 {
            ending.exit_code = Some(event.code >> 8 & 0xff);
            out.insert("exit_code".into(), json!(ending.exit_code));
        } else {
            ending.signal = Some(signal);
            out.insert("signal".into(), json!(signal));
            out.insert("core".into(), json!(event.code & 0x80 != 0));
        }
        if self.root == Some(head.pid) {
            self.ending = Some(ending);
        }
        sink.line(head.at_ns, Value::Object(out), Severity::Info);
    }

    /// The newest facts of every living process, for a recording that begins now.
    pub fn alive(&self) -> impl Iterator<Item = (u32, &Map<String, Value>)> {
        self.processes.iter().map(|(pid, life)| (*pid, &life.facts))
    }
}

/// What /proc says of a process, if it still is the program with these arguments: a script's interpreter stands before them, and
/// a program that executes itself again from another place keeps them.
fn still(pid: u32, filename: &[u8], argv: &[Value]) -> Map<String, Value> {
    let now = stock::describe(pid, false);
    let words = now.get("argv").and_then(Value::as_array).cloned().unwrap_or_default();
    let rest = argv.get(1..).unwrap_or_default();
    if !words.ends_with(rest) && !argv.is_empty() {
        return Map::new();
    }
    let same = now.get("exe").is_none_or(|exe| *exe == lossy(filename)) || stock::may_have_become(pid, filename);
    if same {
        now
    } else {
        Map::new()
    }
}
