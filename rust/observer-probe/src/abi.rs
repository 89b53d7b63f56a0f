// SPDX-License-Identifier: Apache-2.0
//! What the probe in the kernel sends and takes, byte for byte. Source: docs/spec/bpf-abi.md, bpf/record.h.

/// Version of the ABI; the object and this file change together.
pub const VERSION: u32 = 3;
/// Syscall numbers with a plan.
pub const CALLS_MAX: usize = 512;
/// Readings of memory in one plan.
pub const STEPS_MAX: usize = 40;
/// Values of the argument that tells which readings apply.
pub const SELECT_MAX: usize = 16;
/// Values one condition compares with.
pub const VALUES_MAX: usize = 16;
/// Bytes of a block of messages.
pub const BLOCK: usize = 0x20000;
/// Blocks of one CPU, at most.
pub const BLOCKS_MAX: usize = 1024;
/// Where its first message begins.
pub const BLOCK_HEAD: usize = 8;
/// Longest part of a message before text and blobs, and the least a call's bound may be.
pub const FIXED: usize = 128;
/// Most that is taken from one place.
pub const READ_MAX: usize = 0x1000;
/// No further memory is taken once a message is this long.
pub const CONTENT_MAX: usize = 0x10000;

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
    /// A thread's cgroup or user, new or changed.
    pub const PLACE: u8 = 7;
    /// A cgroup was made.
    pub const CGROUP: u8 = 8;
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
    /// Length of the message in units of 8 bytes, this head included.
    pub words: u16,
    /// One of [`kind`].
    pub kind: u8,
    /// CALL, ENTRY: registers that follow.
    pub args: u8,
    /// Syscall or signal number.
    pub nr: u32,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// CLOCK_MONOTONIC when the message was made, ns; of a call, its return.
    pub at_ns: u64,
    /// CALL: entry to return, ns, lower bits.
    pub duration_low: u32,
    /// And upper bits.
    pub duration_high: u16,
    /// Bits of [`flag`].
    pub flags: u16,
}

/// A call with its outcome, at most; `args` of the registers are there, then blobs to the end of the message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// Whose and when.
    pub head: Head,
    /// The kernel's return value.
    pub result: i64,
    /// Argument registers; those that mean nothing are 0 here and not in the message.
    pub args: [u64; 6],
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
    /// Id of the cgroup v2 directory; of CGROUP, the new one.
    pub cgroup: u64,
    /// Real user id; of FORK, the child's.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// FORK: child's thread; EXEC: thread id before; SIGNAL: sender's pid.
    pub other_tid: u32,
    /// FORK: child's process; SIGNAL: sender's uid.
    pub other_pid: u32,
    /// EXIT: wait status; SIGNAL: si_code; FORK: the word behind `arg`.
    pub code: i32,
    /// FORK, EXEC, PLACE: id in its own pid namespace.
    pub ns_pid: u32,
    /// Inode number of that namespace.
    pub pid_ns: u32,
    /// EXEC, CGROUP: bytes of text that follow.
    pub length: u32,
    /// FORK: first argument of the call that made the child.
    pub arg: u64,
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
    pub values_count: u16,
    /// Bytes of a structure to keep at most.
    pub most: u16,
    /// Bits of the argument that count.
    pub mask: u64,
    /// What they are compared with.
    pub values: [u64; VALUES_MAX],
}

/// What to do at one call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bits: 1 wanted, 2 read early, 4 no return, 8 early only when a step at exit applies.
    pub flags: u32,
    /// Steps in use.
    pub steps_count: u32,
    /// Registers that mean something.
    pub args: u32,
    /// No message of this call is longer, bytes.
    pub bound: u32,
    /// The argument that tells which steps may apply; 6 or more for none.
    pub select_arg: u32,
    /// Values in use.
    pub select_count: u32,
    /// The argument that is text in every case, read at exit without a step; 6 or more for none.
    pub text: u32,
    /// Likewise the one behind which the kernel fills in a structure whenever it succeeds.
    pub filled: u32,
    /// Size of that structure.
    pub filled_bytes: u64,
    /// Bits of that argument that count.
    pub select_mask: u64,
    /// Its values.
    pub select_values: [u64; SELECT_MAX],
    /// Bits of the steps that may apply with each of them.
    pub select_steps: [u64; SELECT_MAX],
    /// And with any other.
    pub other_steps: u64,
    /// Bits of the steps at exit.
    pub exit_steps: u64,
    /// The readings.
    pub steps: [Step; STEPS_MAX],
}

/// Where one CPU's messages are, and what it counted; `seen = sent + lost_ring + lost_busy`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lane {
    /// Upper half: blocks closed so far; lower half: bytes in use in the one being filled.
    #[serde(skip)]
    pub head: u64,
    /// A message is being written.
    #[serde(skip)]
    pub open: u32,
    /// The block being filled.
    #[serde(skip)]
    pub block: u32,
    /// Messages that were to be sent (ENTRY apart).
    pub seen: u64,
    /// Sent.
    pub sent: u64,
    /// Every block was full.
    pub lost_ring: u64,
    /// Two messages at once on one CPU.
    pub lost_busy: u64,
    /// Processes or threads that did not fit into a table.
    pub untracked: u64,
    /// Calls of another ABI.
    pub foreign: u64,
    /// ENTRY messages that did not fit.
    pub early_lost: u64,
    /// Messages with memory kept only in part.
    pub cut: u64,
    /// Messages with memory that could not be read.
    pub unreadable: u64,
    /// Operations submitted through io_uring.
    pub uring: u64,
    /// Blocks closed when the recorder was last woken.
    #[serde(skip)]
    pub rung: u64,
    /// 0.
    #[serde(skip)]
    pub spare: [u64; 3],
    /// Blocks the recorder has done with.
    #[serde(skip)]
    pub done: u64,
    /// 0.
    #[serde(skip)]
    pub spare_too: [u64; 7],
    /// 1 for each block that may be filled.
    #[serde(skip)]
    pub free: [u8; BLOCKS_MAX],
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
        Plan {
            flags: 0,
            steps_count: 0,
            args: 6,
            bound: FIXED as u32,
            select_arg: u32::MAX,
            select_count: 0,
            text: u32::MAX,
            filled: u32::MAX,
            filled_bytes: 0,
            select_mask: 0,
            select_values: [0; SELECT_MAX],
            select_steps: [0; SELECT_MAX],
            other_steps: u64::MAX,
            exit_steps: 0,
            steps: [Step::default(); STEPS_MAX],
        }
    }
}

const _: () = assert!(size_of::<Head>() == 32);
const _: () = assert!(size_of::<Call>() == 88);
const _: () = assert!(size_of::<BlobHead>() == 8);
const _: () = assert!(size_of::<Event>() == 88);
const _: () = assert!(size_of::<Step>() == 152);
const _: () = assert!(size_of::<Plan>() == 64 + SELECT_MAX * 16 + STEPS_MAX * 152);
const _: () = assert!(size_of::<Lane>() == 192 + BLOCKS_MAX);
const _: () = assert!(size_of::<LossKey>() == 16);
const _: () = assert!(size_of::<Loss>() == 24);

macro_rules! plain {
    ($($name:ty),*) => { $(
        // SAFETY: repr(C), no padding (see the size assertions against the sum of fields), every bit pattern is valid.
        unsafe impl aya::Pod for $name {}
    )* };
}
plain!(Plan, LossKey, Loss);

/// One message as it lies in the ring buffer.
#[derive(Debug)]
pub enum Message<'a> {
    /// A call or the memory read before it.
    Call(Call, Blobs<'a>),
    /// Something in the life of a thread, with its text.
    Event(Event, &'a [u8]),
}

/// Iterates over the blobs of a message: all that is left of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blobs<'a> {
    /// The bytes, heads and padding included.
    pub bytes: &'a [u8],
}

impl<'a> Iterator for Blobs<'a> {
    type Item = (u8, u16, &'a [u8]);

    /// What, part and bytes of the next one; a malformed one is the end.
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.bytes.split_first_chunk::<8>()?;
        let word = u64::from_le_bytes(*head);
        let length = (word >> 32) as usize;
        let bytes = rest.get(..length)?;
        self.bytes = rest.get(length.next_multiple_of(8)..).unwrap_or_default();
        Some((word as u8, (word >> 16) as u16, bytes))
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..at + 8)?.first_chunk()?))
}

fn head(b: &[u8]) -> Option<Head> {
    let (first, _) = b.split_first_chunk::<32>()?;
    let word = |at: usize| u64_at(first, at).unwrap_or(0);
    let (what, who, took) = (word(0), word(8), word(24));
    Some(Head {
        words: what as u16,
        kind: (what >> 16) as u8,
        args: (what >> 24) as u8,
        nr: (what >> 32) as u32,
        tid: who as u32,
        pid: (who >> 32) as u32,
        at_ns: word(16),
        duration_low: took as u32,
        duration_high: (took >> 32) as u16,
        flags: (took >> 48) as u16,
    })
}

impl Head {
    /// Entry to return of a call, ns.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        u64::from(self.duration_high) << 32 | u64::from(self.duration_low)
    }
}

/// When a message was made, and how many bytes it has; None for less than a head, or a length that cannot be.
#[must_use]
pub fn moment(b: &[u8]) -> Option<(u64, usize)> {
    let words = u16::from_le_bytes(*b.first_chunk::<2>()?);
    let length = usize::from(words) * 8;
    (length >= size_of::<Head>() && length <= b.len()).then_some((u64_at(b, 16)?, length))
}

/// Reads one message; None when it is none of this ABI.
#[must_use]
pub fn parse(b: &[u8]) -> Option<Message<'_>> {
    let head = head(b)?;
    match head.kind {
        kind::CALL | kind::ENTRY => {
            let mut call = Call { head, result: u64_at(b, 32)?.cast_signed(), args: [0; 6] };
            let count = usize::from(head.args);
            let (registers, rest) = b.get(40..)?.split_at_checked(8 * count)?;
            for (into, from) in call.args.get_mut(..count)?.iter_mut().zip(registers.as_chunks::<8>().0) {
                *into = u64::from_le_bytes(*from);
            }
            Some(Message::Call(call, Blobs { bytes: rest }))
        }
        kind::FORK..=kind::CGROUP => {
            let low = |at: usize| Some(u64_at(b, at)? as u32);
            let high = |at: usize| Some((u64_at(b, at)? >> 32) as u32);
            let event = Event {
                head,
                cgroup: u64_at(b, 32)?,
                uid: low(40)?,
                gid: high(40)?,
                euid: low(48)?,
                egid: high(48)?,
                other_tid: low(56)?,
                other_pid: high(56)?,
                code: low(64)?.cast_signed(),
                ns_pid: high(64)?,
                pid_ns: low(72)?,
                length: high(72)?,
                arg: u64_at(b, 80)?,
            };
            let text = b.get(88..)?;
            Some(Message::Event(event, text.get(..event.length as usize).unwrap_or(text)))
        }
        _ => None,
    }
}
