// SPDX-License-Identifier: Apache-2.0
//! The processes and threads of one recording, from its sealed lines.

use observer_evidence::read_lines;
use observer_recording::reader::log_path;
use observer_recording::{RecordingError, RecordingReader};
use serde_json::Value;
use std::collections::HashMap;

/// One thread, from its start to its end; a process is its first thread.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Thread id as the recorder saw it.
    pub tid: u32,
    /// Process id, likewise.
    pub pid: u32,
    /// CLOCK_MONOTONIC of the start, ns.
    pub born_ns: u64,
    /// Who started it.
    pub parent: Option<usize>,
    /// Whom it started, in order.
    pub children: Vec<usize>,
    /// A further thread of its process.
    pub is_thread: bool,
    /// Place in the tree: `0` the first, `0.1` the second child it started.
    pub place: String,
    /// Programs that it executed: path and arguments.
    pub execs: Vec<(String, Vec<String>)>,
    /// How it ended: `exit 0`, `SIGSEGV`; None when that is not told.
    pub end: Option<String>,
    /// Sequence of the line that tells its end.
    pub end_line: Option<u64>,
}

impl Node {
    /// File name of the program it ran last; empty for one that only forked.
    #[must_use]
    pub fn program(&self) -> &str {
        self.execs.last().map_or("", |(exe, _)| exe.rsplit('/').next().unwrap_or(exe))
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// In order of start.
    pub nodes: Vec<Node>,
    /// Those that nobody in the recording started.
    pub roots: Vec<usize>,
    by_tid: HashMap<u32, Vec<usize>>,
}

fn narrow(event: &Value, key: &str) -> Option<u32> {
    event.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

fn text(event: &Value, key: &str) -> String {
    event.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

impl Tree {
    /// Reads the process lines of a recording.
    pub fn of(reader: &RecordingReader) -> Result<Tree, RecordingError> {
        let mut tree = Tree::default();
        for line in read_lines(&log_path(reader.dir()))? {
            let line = line?;
            if line.kind.is_some() || !line.event.windows(7).any(|w| w == b"process") {
                continue;
            }
            if let Ok(event) = serde_json::from_slice::<Value>(&line.event) {
                if event.get("type").and_then(Value::as_str) == Some("process") {
                    tree.see(&event, line.seq);
                }
            }
        }
        Ok(tree)
    }

    fn see(&mut self, event: &Value, line: u64) {
        let at = event.get("at_ns").and_then(Value::as_u64).unwrap_or(0);
        let Some(tid) = narrow(event, "tid").or(narrow(event, "pid")) else { return };
        let pid = narrow(event, "pid").unwrap_or(tid);
        match event.get("what").and_then(Value::as_str) {
            Some("start" | "thread_start") => {
                let parent = narrow(event, "parent_tid").or(narrow(event, "ppid"));
                let parent = parent.and_then(|p| self.find(p, at));
                self.add(Node { tid, pid, born_ns: at, parent, is_thread: tid != pid, ..Node::default() });
            }
            Some("exec") => {
                // an exec by another thread takes over the number of its process
                let node = self.find(pid, at).unwrap_or_else(|| self.stranger(tid, pid, at));
                let argv = event.get("argv").and_then(Value::as_array).into_iter().flatten();
                let argv = argv.filter_map(Value::as_str).map(str::to_owned).collect();
                self.nodes[node].execs.push((text(event, "exe"), argv));
            }
            Some("exit" | "thread_exit") => {
                let Some(node) = self.find(tid, at) else { return };
                let code = event.get("exit_code").and_then(Value::as_i64).map(|code| format!("exit {code}"));
                let killed = event.get("signal").filter(|s| !s.is_null());
                let number = |s: &Value| s.as_u64().and_then(|n| u32::try_from(n).ok()).and_then(observer_model::signal_name);
                let killed = killed.map(|s| number(s).unwrap_or_else(|| s.as_str().map_or_else(|| s.to_string(), str::to_owned)));
                self.nodes[node].end = killed.or(code);
                self.nodes[node].end_line = Some(line);
            }
            _ => {}
        }
    }

    fn add(&mut self, mut node: Node) -> usize {
        let index = self.nodes.len();
        match node.parent {
            Some(parent) => {
                node.place = format!("{}.{}", self.nodes[parent].place, self.nodes[parent].children.len());
                self.nodes[parent].children.push(index);
            }
            None => {
                node.place = self.roots.len().to_string();
                self.roots.push(index);
            }
        }
        self.by_tid.entry(node.tid).or_default().push(index);
        self.nodes.push(node);
        index
    }

    /// A thread that no line tells of: it ran before the recording, or an embedder's.
    pub fn stranger(&mut self, tid: u32, pid: u32, at: u64) -> usize {
        self.add(Node { tid, pid, born_ns: at, is_thread: false, ..Node::default() })
    }

    /// The thread that had this id at that time; the first of them for a time before all.
    #[must_use]
    pub fn find(&self, tid: u32, at: u64) -> Option<usize> {
        let lives = self.by_tid.get(&tid)?;
        lives.iter().rev().find(|n| self.nodes[**n].born_ns <= at).or(lives.first()).copied()
    }

    /// Whether any thread or process ever had this id.
    #[must_use]
    pub fn knows(&self, tid: u32) -> bool {
        self.by_tid.contains_key(&tid)
    }

    /// The process of a thread, as the node of its first thread.
    #[must_use]
    pub fn process_of(&self, node: usize) -> usize {
        let thread = &self.nodes[node];
        if !thread.is_thread {
            return node;
        }
        self.find(thread.pid, thread.born_ns).unwrap_or(node)
    }
}
