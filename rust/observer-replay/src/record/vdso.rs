// SPDX-License-Identifier: Apache-2.0
//! The kernel's library in every process: its functions read clocks without a call. Here they are rewritten to make the call, so
//! that it is recorded. Sources: vdso(7); elf(5) for the layout.

use crate::engine::maps::Region;
use observer_capture::sys::{read_memory, Tid};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

/// Functions and the calls that do the same.
const FUNCTIONS: [(&str, Option<u8>, u32); 6] = [
    ("clock_gettime", None, 228),
    ("gettimeofday", None, 96),
    ("time", None, 201),
    ("clock_getres", None, 229),
    ("getcpu", None, 0x135),
    ("getrandom", Some(38), 0),
];
const SHT_DYNSYM: u32 = 11;
/// Offset of the `syscall` instruction in what [`code`] makes.
const SYSCALL_AT: u64 = 5;

/// `mov eax, NR; syscall; ret`, or `mov rax, -ERRNO; ret`.
fn code(errno: Option<u8>, nr: u32) -> [u8; 8] {
    let n = nr.to_le_bytes();
    match errno {
        None => [0xb8, n[0], n[1], n[2], n[3], 0x0f, 0x05, 0xc3],
        Some(errno) => [0x48, 0xc7, 0xc0, 0u8.wrapping_sub(errno), 0xff, 0xff, 0xff, 0xc3],
    }
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(size)?)?;
    Some(part.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn index(value: u64) -> Option<usize> {
    usize::try_from(value).ok()
}

/// Names and offsets of the functions in an ELF image.
fn symbols(image: &[u8]) -> Option<Vec<(String, u64)>> {
    let (table, size, count) = (index(number(image, 40, 8)?)?, index(number(image, 58, 2)?)?, index(number(image, 60, 2)?)?);
    let section = |n: usize| image.get(table + n * size..table + (n + 1) * size);
    let dynsym = (0..count).filter_map(section).find(|s| number(s, 4, 4) == Some(u64::from(SHT_DYNSYM)))?;
    let strings = section(index(number(dynsym, 40, 4)?)?)?;
    let text = index(number(strings, 24, 8)?)?;
    let (start, length) = (index(number(dynsym, 24, 8)?)?, index(number(dynsym, 32, 8)?)?);
    let mut found = Vec::new();
    for at in (start..start.checked_add(length)?).step_by(24) {
        let name = image.get(text + index(number(image, at, 4)?)?..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        found.push((String::from_utf8_lossy(&name[..end]).into_owned(), number(image, at + 8, 8)?));
    }
    Some(found)
}

/// Rewrites the functions in process `tid`; returns the address of a `syscall` instruction there.
pub fn replace(tid: Tid, maps: &[Region]) -> Option<u64> {
    let region = maps.iter().find(|region| region.name == "[vdso]")?;
    let mut image = vec![0u8; index(region.end - region.start)?];
    if read_memory(tid, region.start, &mut image) < image.len() {
        return None;
    }
    // Through /proc/pid/mem the tracer may write what the process may not. Source: ptrace(2), proc(5).
    let memory = OpenOptions::new().write(true).open(format!("/proc/{tid}/mem")).ok()?;
    let mut gadget = None;
    for (name, offset) in symbols(&image)? {
        let plain = name.strip_prefix("__vdso_").unwrap_or(&name);
        let Some((_, errno, nr)) = FUNCTIONS.iter().find(|(function, ..)| *function == plain) else { continue };
        let address = region.start + offset % (region.end - region.start);
        memory.write_all_at(&code(*errno, *nr), address).ok()?;
        if errno.is_none() {
            gadget = Some(address + SYSCALL_AT);
        }
    }
    gadget
}

/// A `syscall` instruction anywhere in the program's code.
pub fn find_gadget(tid: Tid, maps: &[Region]) -> Option<u64> {
    let mut bytes = vec![0u8; 1 << 20];
    maps.iter().filter(|region| region.prot & 4 != 0 && !region.is_kernels()).find_map(|region| {
        let want = index(region.end - region.start)?.min(bytes.len());
        let got = read_memory(tid, region.start, &mut bytes[..want]);
        let at = bytes[..got].windows(2).position(|pair| pair == [0x0f, 0x05])?;
        Some(region.start + at as u64)
    })
}
