// SPDX-License-Identifier: Apache-2.0
//! What the probe in the kernel sends and takes, byte for byte. Source: docs/spec/bpf-abi.md, bpf/record.h.

/// Version of the ABI; the object and this file change together.
pub const VERSION: u32 = 1;
/// Syscall numbers with a plan.
pub const CALLS_MAX: usize = 512;
/// Readings of memory in one plan.
pub const STEPS_MAX: usize = 40;
/// Values one condition compares with.
pub const VALUES_MAX: usize = 16;

/// Kinds of message.
pub mod kind {
    /// A call with its outcome.
    pub const CALL: u8 = 1;
    /// Memory read before a call ran.
    pub const ENTRY: u8 = 2;
    /// A process or thread was made.
    pub const FORK: u8 = 3;
    /// A process became another program.
    pub const EXEC: u8 = 4;
    /// A thread ended.
    pub const EXIT: u8 = 5;
    /// A signal was delivered.
    pub const SIGNAL: u8 = 6;
}

/// Bits of [`Head::flags`] beyond those of `observer_model::flags`.
pub mod flag {
    /// An ENTRY was sent for this call.
    pub const HAS_ENTRY: u16 = 0x100;
    /// Some memory was kept only in part.
    pub const CUT: u16 = 0x200;
    /// EXIT: it was the last thread of its process.
    pub const GROUP_DEAD: u16 = 0x400;
    /// FORK: a thread, not a process.
    pub const THREAD: u16 = 0x800;
    /// The bits that go into a record as they are.
    pub const OF_RECORD: u16 = 0x1f;
}

/// What every message begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    /// One of [`kind`].
    pub kind: u8,
    /// Low byte of the number of blobs.
    pub blobs_low: u8,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Syscall or signal number.
    pub nr: u32,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// CLOCK_MONOTONIC, ns.
    pub at_ns: u64,
    /// Id of the cgroup v2 directory.
    pub cgroup: u64,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
}

/// A call with its outcome; blobs follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// Whose and when.
    pub head: Head,
    /// Entry to exit, ns.
    pub duration_ns: u64,
    /// The kernel's return value.
    pub result: i64,
    /// Argument registers.
    pub args: [u64; 6],
    /// Blobs that follow.
    pub blobs: u32,
    /// CPU on which it returned.
    pub cpu: u32,
}

/// Memory of one argument; bytes follow, padded to a multiple of 8.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BlobHead {
    /// Bits 0–2 argument, bit 3 after the call, bit 4 cut short.
    pub what: u8,
    /// 0.
    pub zero: u8,
    /// Part of the argument.
    pub part: u16,
    /// Bytes.
    pub length: u32,
}

/// Something in the life of a thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    /// Whose and when.
    pub head: Head,
    /// FORK: child's thread; EXEC: thread id before; SIGNAL: sender's pid.
    pub other_tid: u32,
    /// FORK: child's process; SIGNAL: sender's uid.
    pub other_pid: u32,
    /// EXIT: wait status; SIGNAL: si_code; FORK: the word behind `arg`.
    pub code: i32,
    /// Id in its own pid namespace.
    pub ns_pid: u32,
    /// Inode number of that namespace.
    pub pid_ns: u32,
    /// EXEC: effective user id under the new program.
    pub euid: u32,
    /// FORK: first argument of the call that made the child.
    pub arg: u64,
    /// Bytes of text that follow.
    pub length: u32,
    /// EXEC: effective group id.
    pub egid: u32,
}

/// One reading of memory. Source: `observer_model::Fetch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Argument that holds the pointer.
    pub arg: u8,
    /// 1 for memory the kernel writes.
    pub at_exit: u8,
    /// Shape code.
    pub shape: u8,
    /// Length code.
    pub length: u8,
    /// Argument the length depends on.
    pub length_arg: u8,
    /// 0 always, 1 in, 2 not in.
    pub condition: u8,
    /// Argument the condition looks at.
    pub condition_arg: u8,
    /// Read also when the call failed.
    pub on_error: u8,
    /// Factor or constant of the length.
    pub n: u32,
    /// Values in use.
    pub values_count: u32,
    /// Bits of the argument that count.
    pub mask: u64,
    /// What they are compared with.
    pub values: [u64; VALUES_MAX],
}

/// What to do at one call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bits: 1 wanted, 2 read early, 4 no return.
    pub flags: u32,
    /// Steps in use.
    pub steps_count: u32,
    /// The readings.
    pub steps: [Step; STEPS_MAX],
}

/// What one CPU counted; `seen = sent + lost_ring + lost_busy`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Messages that were to be sent (ENTRY apart).
    pub seen: u64,
    /// Sent.
    pub sent: u64,
    /// The ring buffer was full.
    pub lost_ring: u64,
    /// Two messages at once on one CPU.
    pub lost_busy: u64,
    /// The table of threads was full.
    pub untracked: u64,
    /// Calls of another ABI.
    pub foreign: u64,
    /// ENTRY messages that did not fit.
    pub early_lost: u64,
    /// Records with memory kept only in part.
    pub cut: u64,
    /// Records with memory that could not be read.
    pub unreadable: u64,
    /// Operations submitted through io_uring.
    pub uring: u64,
}

/// Whose loss, where, of which kind.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LossKey {
    /// Cgroup id.
    pub cgroup: u64,
    /// CPU.
    pub cpu: u32,
    /// 1 ring full, 2 busy, 3 untracked, 4 foreign, 5 io_uring.
    pub what: u32,
}

/// How many, and when.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub count: u64,
    /// CLOCK_MONOTONIC of the first, ns.
    pub first_ns: u64,
    /// Of the last.
    pub last_ns: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { flags: 0, steps_count: 0, steps: [Step::default(); STEPS_MAX] }
    }
}

const _: () = assert!(size_of::<Head>() == 40);
const _: () = assert!(size_of::<Call>() == 112);
const _: () = assert!(size_of::<BlobHead>() == 8);
const _: () = assert!(size_of::<Event>() == 80);
const _: () = assert!(size_of::<Step>() == 152);
const _: () = assert!(size_of::<Plan>() == 8 + STEPS_MAX * 152);
const _: () = assert!(size_of::<Counters>() == 80);
const _: () = assert!(size_of::<LossKey>() == 16);
const _: () = assert!(size_of::<Loss>() == 24);

macro_rules! plain {
    ($($name:ty),*) => { $(
        // SAFETY: repr(C), no padding (see the size assertions against the sum of fields), every bit pattern is valid.
        unsafe impl aya::Pod for $name {}
    )* };
}
plain!(Plan, Counters, LossKey, Loss);

/// One message as it lies in the ring buffer.
#[derive(Debug)]
pub enum Message<'a> {
    /// A call or the memory read before it.
    Call(Call, Blobs<'a>),
    /// Something in the life of a thread, with its text.
    Event(Event, &'a [u8]),
}

/// Iterates over the blobs of a message.
#[derive(Clone, Debug)]
pub struct Blobs<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Blobs<'a> {
    type Item = (BlobHead, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let head = BlobHead { what: byte(self.rest, 0)?, zero: 0, part: u16_at(self.rest, 2)?, length: u32_at(self.rest, 4)? };
        let length = head.length as usize;
        let bytes = self.rest.get(8..8usize.checked_add(length)?)?;
        self.rest = self.rest.get(8 + length.next_multiple_of(8)..).unwrap_or_default();
        Some((head, bytes))
    }
}

fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..at + 2)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..at + 4)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..at + 8)?.first_chunk()?))
}

fn head(b: &[u8]) -> Option<Head> {
    Some(Head {
        kind: byte(b, 0)?,
        blobs_low: byte(b, 1)?,
        flags: u16_at(b, 2)?,
        nr: u32_at(b, 4)?,
        tid: u32_at(b, 8)?,
        pid: u32_at(b, 12)?,
        at_ns: u64_at(b, 16)?,
        cgroup: u64_at(b, 24)?,
        uid: u32_at(b, 32)?,
        gid: u32_at(b, 36)?,
    })
}

/// Reads one message; None when it is none of this ABI.
#[must_use]
pub fn parse(b: &[u8]) -> Option<Message<'_>> {
    let head = head(b)?;
    match head.kind {
        kind::CALL | kind::ENTRY => {
            let mut args = [0; 6];
            for (i, arg) in args.iter_mut().enumerate() {
                *arg = u64_at(b, 56 + 8 * i)?;
            }
            let (duration_ns, result) = (u64_at(b, 40)?, u64_at(b, 48)?.cast_signed());
            let call = Call { head, duration_ns, result, args, blobs: u32_at(b, 104)?, cpu: u32_at(b, 108)? };
            Some(Message::Call(call, Blobs { rest: b.get(112..)?, left: call.blobs }))
        }
        kind::FORK..=kind::SIGNAL => {
            let event = Event {
                head,
                other_tid: u32_at(b, 40)?,
                other_pid: u32_at(b, 44)?,
                code: u32_at(b, 48)?.cast_signed(),
                ns_pid: u32_at(b, 52)?,
                pid_ns: u32_at(b, 56)?,
                euid: u32_at(b, 60)?,
                arg: u64_at(b, 64)?,
                length: u32_at(b, 72)?,
                egid: u32_at(b, 76)?,
            };
            let text = b.get(80..)?;
            Some(Message::Event(event, text.get(..event.length as usize).unwrap_or(text)))
        }
        _ => None,
    }
}
