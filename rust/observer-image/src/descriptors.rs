// SPDX-License-Identifier: Apache-2.0
//! The descriptors of a process: what each leads to, where it stands, and the addresses of sockets. Source: proc(5), /proc/net.

use crate::procfs;
use serde_json::{json, Map, Value};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What was read of a descriptor while the process stood.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Its number.
    pub number: u32,
    /// Where it leads.
    pub path: String,
    /// The kernel's fdinfo.
    pub info: String,
}

/// Descriptors of a process; short enough to be read while it stands.
#[must_use]
pub fn of(pid: u32) -> Vec<Descriptor> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let mut out: Vec<Descriptor> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let path = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            let info = procfs::text(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
            Some(Descriptor { number, path, info })
        })
        .collect();
    out.sort_unstable_by_key(|descriptor| descriptor.number);
    out
}

/// Addresses of sockets by inode, as the process's network namespace lists them.
#[derive(Default)]
pub struct Sockets(HashMap<u64, Map<String, Value>>);

const STATES: [&str; 12] = [
    "",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "close",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
];

impl Sockets {
    /// Those that the process can see.
    #[must_use]
    pub fn of(pid: u32) -> Sockets {
        let mut out = HashMap::new();
        for family in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
            let text = procfs::text(format!("/proc/{pid}/net/{family}")).unwrap_or_default();
            out.extend(text.lines().skip(1).filter_map(|line| inet(family, line)));
        }
        let text = procfs::text(format!("/proc/{pid}/net/unix")).unwrap_or_default();
        out.extend(text.lines().skip(1).filter_map(unix));
        Sockets(out)
    }
}

fn inet(family: &str, line: &str) -> Option<(u64, Map<String, Value>)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let state = usize::from_str_radix(words.get(3)?, 16).ok()?;
    let mut out = Map::new();
    out.insert("family".into(), json!(family));
    out.insert("local".into(), json!(address(words.get(1)?)?));
    out.insert("peer".into(), json!(address(words.get(2)?)?));
    out.insert("state".into(), json!(STATES.get(state).copied().unwrap_or("")));
    Some((words.get(9)?.parse().ok()?, out))
}

fn unix(line: &str) -> Option<(u64, Map<String, Value>)> {
    let words: Vec<&str> = line.splitn(8, ' ').filter(|word| !word.is_empty()).collect();
    let all: Vec<&str> = line.split_ascii_whitespace().collect();
    let mut out = Map::new();
    out.insert("family".into(), json!("unix"));
    out.insert("state".into(), json!(if *all.get(3)? == "00010000" { "listen" } else { "" }));
    out.insert("local".into(), json!(all.get(7).copied().unwrap_or("")));
    debug_assert!(!words.is_empty());
    Some((all.get(6)?.parse().ok()?, out))
}

/// The kernel writes addresses as hexadecimal words of the machine's order, and the port as a number.
fn address(text: &str) -> Option<String> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for at in (0..host.len()).step_by(8) {
        bytes.extend_from_slice(&u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.as_slice()).ok()?)),
        _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    Some(std::net::SocketAddr::new(address, port).to_string())
}

/// A descriptor as the JSON that the snapshot keeps.
#[must_use]
pub fn describe(descriptor: &Descriptor, sockets: &Sockets) -> Value {
    let mut out = Map::new();
    out.insert("path".into(), json!(descriptor.path));
    for line in descriptor.info.lines() {
        match line.split_once(':') {
            Some(("pos", value)) => out.insert("offset".into(), json!(value.trim().parse::<u64>().unwrap_or(0))),
            Some(("flags", value)) => out.insert("flags".into(), json!(u64::from_str_radix(value.trim(), 8).unwrap_or(0))),
            Some(("ino", value)) => out.insert("inode".into(), json!(value.trim().parse::<u64>().unwrap_or(0))),
            Some((name, value)) if name != "mnt_id" => out.insert(name.trim().to_owned(), json!(value.trim())),
            _ => None,
        };
    }
    let socket = descriptor.path.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')?.parse::<u64>().ok());
    if let Some(found) = socket.and_then(|inode| sockets.0.get(&inode)) {
        out.extend(found.clone());
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(address("0100007F:1F90").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("00000000000000000000000001000000:0050").as_deref(), Some("[::1]:80"));
        assert_eq!(address("zz:0"), None);
    }
}
