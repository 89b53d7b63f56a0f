// SPDX-License-Identifier: Apache-2.0
//! Why the kernel did not take the probe, in words that name the one setting or right that is missing.

use crate::error::ProbeError;
use aya::maps::MapType;
use std::fs;

const CAP_SYS_ADMIN: u32 = 21; // Source: linux/capability.h
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Every source of an error in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(inner) = next {
        let text = inner.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        next = inner.source();
    }
    out
}

fn raw_os_error(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = next {
        if let Some(code) = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            return Some(code);
        }
        next = inner.source();
    }
    None
}

/// The value of a line of /proc/self/status.
fn status(key: &str) -> Option<String> {
    let all = fs::read_to_string("/proc/self/status").ok()?;
    all.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}

/// The capabilities this process lacks, by name; none for who has CAP_SYS_ADMIN.
fn lacking(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    if has(CAP_SYS_ADMIN) {
        return Vec::new();
    }
    let wanted = [("CAP_BPF", CAP_BPF), ("CAP_PERFMON", CAP_PERFMON)];
    wanted.into_iter().filter(|(_, bit)| !has(*bit)).map(|(name, _)| name).collect()
}

fn refused() -> ProbeError {
    let effective = status("CapEff").and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or(0);
    let lacking = lacking(effective);
    let locked = fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|text| text.contains("[confidentiality]"));
    let (what, how) = if !lacking.is_empty() {
        let what = format!("this process may not load eBPF programs: it lacks {}", lacking.join(" and "));
        (what, "run as root, or give the process CAP_BPF and CAP_PERFMON (kernel 5.8 and later; CAP_SYS_ADMIN before); in a container add both capabilities and a seccomp profile that allows bpf()")
    } else if locked {
        let what = "the kernel is locked down: in confidentiality mode no eBPF program may read memory".to_owned();
        (what, "boot with lockdown=integrity or without lockdown")
    } else if status("Seccomp").is_some_and(|mode| mode == "2") {
        let what = "this process has the capabilities, but is under a seccomp filter, which may refuse bpf()".to_owned();
        (what, "allow bpf() in the seccomp profile of the container or service")
    } else {
        let what = "this process has the capabilities, but the kernel refuses to load eBPF programs".to_owned();
        (what, "look for the refusal of a security module in the kernel's log (dmesg, audit)")
    };
    ProbeError::Capability { what, how }
}

/// What an error of the loader means for the user.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> ProbeError {
    match raw_os_error(error) {
        Some(libc::EPERM | libc::EACCES) => refused(),
        Some(libc::ENOSYS) => ProbeError::Capability {
            what: "the kernel has no bpf()".to_owned(),
            how: "use a kernel built with CONFIG_BPF_SYSCALL=y",
        },
        Some(libc::ENOMEM) => ProbeError::Capability {
            what: "the kernel has no memory for the probe's blocks".to_owned(),
            how: "make them fewer with --buffer, or raise RLIMIT_MEMLOCK on kernels before 5.11",
        },
        _ if aya::sys::is_map_supported(MapType::RingBuf).is_ok_and(|there| !there) => ProbeError::Capability {
            what: "the kernel has no eBPF ring buffer".to_owned(),
            how: "use Linux 5.10 or later; the ring buffer came with 5.8",
        },
        _ => ProbeError::Load(chain(error).chars().take(600).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        assert_eq!(lacking(0), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(lacking(1 << CAP_BPF), ["CAP_PERFMON"]);
        assert!(lacking(1 << CAP_SYS_ADMIN).is_empty());
        assert!(lacking(1 << CAP_BPF | 1 << CAP_PERFMON).is_empty());
    }

    #[test]
    fn an_error_keeps_its_sources() {
        let inner = std::io::Error::from_raw_os_error(libc::ENOMEM);
        assert!(matches!(explain(&inner), ProbeError::Capability { what, .. } if what.contains("memory")));
    }
}
