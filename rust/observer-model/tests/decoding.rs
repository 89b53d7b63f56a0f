// SPDX-License-Identifier: Apache-2.0
//! Records as capture makes them, and their text. What strace prints for running programs is held against this crate in
//! the tests of capture; here are the cases a live kernel seldom gives.
#![allow(clippy::unwrap_used)]

use observer_model::{by_name, decode, flags, Arch, ArgClass, Blob, Decoded, SyscallRecord, When};

const X86: Arch = Arch::X86_64;

fn call(arch: Arch, name: &str, args: &[u64], result: i64, blobs: &[(u8, When, u16, &[u8])]) -> SyscallRecord {
    let mut registers = [0; 6];
    registers[..args.len()].copy_from_slice(args);
    let blob = |(arg, when, part, bytes): &(u8, When, u16, &[u8])| Blob {
        arg: *arg,
        when: *when,
        part: *part,
        truncated: false,
        bytes: bytes.to_vec(),
    };
    let nr = by_name(arch, name).unwrap().nr;
    SyscallRecord { nr, args: registers, result, blobs: blobs.iter().map(blob).collect(), ..SyscallRecord::default() }
}

fn text(record: &SyscallRecord) -> String {
    decode(X86, record).to_string()
}

#[test]
fn an_open_shows_its_mode_only_where_it_creates() {
    let at_cwd = (-100i64).cast_unsigned();
    let path: (u8, When, u16, &[u8]) = (1, When::Entry, 0, b"/etc/passwd");
    let plain = call(X86, "openat", &[at_cwd, 0x1000, 0o2_000_000, 0o644], 3, &[path]);
    assert_eq!(text(&plain), r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#);
    let creating = call(X86, "openat", &[at_cwd, 0x1000, 0o101, 0o644], -13, &[path]);
    assert_eq!(text(&creating), r#"openat(AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT, 0644) = -1 EACCES (Permission denied)"#);
}

#[test]
fn one_overlay_serves_two_architectures() {
    let path: (u8, When, u16, &[u8]) = (1, When::Entry, 0, b"d");
    let arm = call(Arch::Aarch64, "openat", &[7, 0x1000, 0o40_000, 0], 3, &[path]);
    assert_eq!(decode(Arch::Aarch64, &arm).to_string(), r#"openat(7, "d", O_RDONLY|O_DIRECTORY) = 3"#);
    let mut stat = [0u8; 128];
    stat[16..20].copy_from_slice(&0o100_644u32.to_le_bytes());
    stat[48..56].copy_from_slice(&7u64.to_le_bytes());
    let arm = call(Arch::Aarch64, "fstat", &[3, 0x1000], 0, &[(1, When::Exit, 0, &stat)]);
    assert_eq!(decode(Arch::Aarch64, &arm).to_string(), "fstat(3, {st_mode=S_IFREG|0644, st_size=7, ...}) = 0");
    let thread = call(Arch::Aarch64, "clone", &[0x3d_0f00, 0x9000, 0x1000, 0x2000, 0x3000], 99, &[]);
    let shown = decode(Arch::Aarch64, &thread).to_string();
    assert!(shown.ends_with("parent_tid=0x1000, tls=0x2000, child_tidptr=0x3000) = 99"), "{shown}");
}

#[test]
fn what_is_not_known_is_shown_as_it_is() {
    let newer = SyscallRecord { nr: 471, args: [1, 2, 3, 0, 5, 6], result: -38, ..SyscallRecord::default() };
    assert_eq!(text(&newer), "syscall_0x1d7(0x1, 0x2, 0x3, 0, 0x5, 0x6) = -1 ENOSYS (Function not implemented)");
    let strange = SyscallRecord { nr: 39, result: -600, ..SyscallRecord::default() };
    assert_eq!(text(&strange), "getpid() = -1 (errno 600)");
}

#[test]
fn results_without_a_value() {
    let mut exit = call(X86, "exit_group", &[3], 0, &[]);
    exit.flags = flags::NO_RESULT;
    assert_eq!(text(&exit), "exit_group(3) = ?");
    let again = call(X86, "read", &[0, 0x1000, 8], -512, &[]);
    assert_eq!(text(&again), "read(0, 0x1000, 8) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
    let ended = call(X86, "read", &[0, 0x1000, 8], 0, &[]);
    assert_eq!(text(&ended), r#"read(0, "", 8) = 0"#);
}

#[test]
fn argument_vectors_end_where_capture_ended() {
    let mut exec = call(
        X86,
        "execve",
        &[0x1000, 0x2000, 0x3000],
        0,
        &[
            (0, When::Entry, 0, b"/bin/ls"),
            (1, When::Entry, 1, b"ls"),
            (1, When::Entry, 2, b"a\x1b[31m"),
            (2, When::Entry, 0, &23u32.to_le_bytes()),
        ],
    );
    assert_eq!(text(&exec), r#"execve("/bin/ls", ["ls", "a\33[31m"], 0x3000 /* 23 vars */) = 0"#);
    exec.blobs.push(Blob { arg: 1, when: When::Entry, part: 0, truncated: true, bytes: Vec::new() });
    assert!(text(&exec).contains(r#"["ls", "a\33[31m", ...]"#));
}

#[test]
fn hostile_lengths_are_cut_to_what_is_there() {
    let short: (u8, When, u16, &[u8]) = (1, When::Entry, 0, &[2, 0, 0, 80, 127]);
    let connect = call(X86, "connect", &[3, 0x1000, 16], 0, &[short]);
    assert_eq!(text(&connect), r#"connect(3, {sa_family=AF_INET, sa_data="\0P\177"}, 16) = 0"#);
    let mut control = [0xffu8; 24];
    control[8..16].copy_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
    let mut header = [0u8; 56];
    header[32..48].copy_from_slice(&[1; 16]);
    let blobs: &[(u8, When, u16, &[u8])] = &[(1, When::Exit, 0, &header), (1, When::Exit, 2, &control)];
    let received = call(X86, "recvmsg", &[3, 0x1000, 0], 0, blobs);
    assert!(text(&received).contains("cmsg_type=SCM_RIGHTS, cmsg_data=[-1, -1]"), "{}", text(&received));
    let dirents = call(X86, "getdents64", &[3, 0x1000, 100], 20, &[(1, When::Exit, 0, &[0; 20])]);
    assert_eq!(text(&dirents), "getdents64(3, 0x1000 /* 1 entries */, 100) = 20");
}

#[test]
fn a_digest_sees_what_equal_runs_share() {
    let path: (u8, When, u16, &[u8]) = (1, When::Entry, 0, b"a");
    let at = |address| decode(X86, &call(X86, "newfstatat", &[u64::MAX, 0x1000, address, 0], -2, &[path]));
    let (first, second): (Decoded, Decoded) = (at(0x7ffe_0000), at(0x7fff_0000));
    assert_ne!(first.to_string(), second.to_string());
    assert_eq!(first.stable_args(), second.stable_args());
    assert_eq!(first.stable_args(), r#"-1, "a", _, 0"#);
    assert_eq!(first.args[1].class, ArgClass::Path);
    let mapped = decode(X86, &call(X86, "mmap", &[0, 4096, 1, 0x22, u64::MAX, 0], 0x7f00_0000, &[]));
    assert_eq!(mapped.stable_result(), "_");
    let child = decode(X86, &call(X86, "fork", &[], 4242, &[]));
    assert!(!child.result_stable);
}

#[test]
fn a_path_is_cut_where_the_kernel_refuses_it() {
    let long = vec![b'a'; 4096];
    let shown = |bytes: &[u8]| text(&call(X86, "rmdir", &[0x1000], -36, &[(0, When::Entry, 0, bytes)]));
    assert!(shown(&long[..4095]).contains("a\") = -1 ENAMETOOLONG"));
    assert_eq!(shown(&long), shown(&long[..4095]).replace("a\")", "a\"...)"));
}

#[test]
fn what_may_be_an_address_is_not_part_of_a_digest() {
    let unknown = |arg| decode(X86, &call(X86, "ioctl", &[3, 0x1234, arg], 0, &[]));
    assert_eq!(unknown(5).stable_args(), "3, _IOC(_IOC_NONE, 0x12, 0x34, 0), 0x5");
    assert_eq!(unknown(0x7ffe_1000).stable_args(), "3, _IOC(_IOC_NONE, 0x12, 0x34, 0), _");
    let group: (u8, When, u16, &[u8]) = (2, When::Entry, 0, &[57, 48, 0, 0]);
    let foreground = decode(X86, &call(X86, "ioctl", &[0, 0x5410, 0x1000], 0, &[group]));
    assert_eq!(foreground.to_string(), "ioctl(0, TIOCSPGRP, [12345]) = 0");
    assert_eq!((foreground.args[2].class, foreground.args[2].stable), (ArgClass::Pid, false));
}

#[test]
fn calls_within_calls_have_the_arguments_of_their_command() {
    let fcntl = |command, arg, result| text(&call(X86, "fcntl", &[3, command, arg], result, &[]));
    assert_eq!(fcntl(1, 99, 1), "fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)");
    assert_eq!(fcntl(4, 0o2001, 0), "fcntl(3, F_SETFL, O_WRONLY|O_APPEND) = 0");
    assert_eq!(fcntl(1030, 10, 12), "fcntl(3, F_DUPFD_CLOEXEC, 10) = 12");
    let wait = call(X86, "futex", &[0x7000, 0x189, 7, 0, 0x9999, 0xffff_ffff], -110, &[]);
    let shown = "futex(0x7000, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 7, NULL, FUTEX_BITSET_MATCH_ANY)";
    assert_eq!(text(&wait), format!("{shown} = -1 ETIMEDOUT (Connection timed out)"));
}
