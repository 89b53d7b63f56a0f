// SPDX-License-Identifier: Apache-2.0
//! The table: number of the call on x86-64, and what it writes. Calls that change mappings, tasks or registers are handled by
//! name in `record/special.rs`; they have no row or one for what else they write.

use super::{ioctl, Out};
use std::borrow::Cow;

use Out::{
    Always, Bits, Compare, Fixed, Futex, Iovec, Length, LengthAt, Message, Messages, Pages, PidFd, Result, ResultPlus,
    ResultTimes, Times,
};

const STAT: u32 = 144;
const RUSAGE: u32 = 144;
const SIGINFO: u32 = 128;

/// Calls of number 0 to 334 and 424 up that write nothing into memory, or nothing but what `special` knows.
const SILENT: &[u32] = &[
    1, 2, 3, 8, 9, 10, 11, 12, 15, 18, 20, 21, 24, 25, 26, 28, 29, 30, 32, 33, 34, 37, 39, 41, 42, 44, 46, 48, 49, 50, 54, 57,
    58, 59, 60, 62, 64, 65, 67, 68, 69, 73, 74, 75, 76, 77, 80, 81, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94, 95, 101, 102,
    104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 116, 117, 119, 121, 122, 123, 124, 126, 129, 130, 132, 133, 134, 135,
    140, 141, 142, 144, 145, 146, 147, 149, 150, 151, 152, 153, 155, 160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171,
    172, 173, 175, 176, 184, 186, 187, 188, 189, 190, 197, 198, 199, 200, 203, 206, 207, 208, 209, 210, 213, 215, 216, 218, 220,
    221, 225, 226, 227, 231, 233, 234, 235, 237, 238, 240, 241, 242, 244, 246, 248, 249, 251, 252, 253, 254, 255, 256, 257, 258,
    259, 260, 261, 263, 264, 265, 266, 268, 269, 272, 273, 276, 277, 280, 282, 283, 284, 285, 289, 290, 291, 292, 294, 296, 297,
    298, 300, 301, 304, 306, 308, 311, 312, 313, 314, 316, 317, 319, 320, 322, 323, 324, 325, 328, 329, 330, 331, 333, 334, 424,
    425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 436, 437, 438, 439, 440, 442, 444, 445, 446, 447, 448, 449, 450, 452, 453,
    454, 455, 456, 460, 462, 463, 466,
];

/// Number and rows, in order of numbers.
const ROWS: &[(u32, &[Out])] = &[
    (0, &[Result(1)]),
    (4, &[Fixed(1, STAT)]),
    (5, &[Fixed(1, STAT)]),
    (6, &[Fixed(1, STAT)]),
    (7, &[Times(0, 1, 8)]),
    (13, &[Fixed(2, 32)]),
    (14, &[Length(2, 3)]),
    (17, &[Result(1)]),
    (19, &[Iovec(1, 2)]),
    (22, &[Fixed(0, 8)]),
    (23, &[Bits(1), Bits(2), Bits(3), Always(4, 16)]),
    (27, &[Pages(2)]),
    (35, &[Always(1, 16)]),
    (36, &[Fixed(1, 32)]),
    (38, &[Fixed(2, 32)]),
    (40, &[Fixed(2, 8)]),
    (43, &[LengthAt(1, 2)]),
    (45, &[Result(1), LengthAt(4, 5)]),
    (47, &[Message(1)]),
    (51, &[LengthAt(1, 2)]),
    (52, &[LengthAt(1, 2)]),
    (53, &[Fixed(3, 8)]),
    (55, &[LengthAt(3, 4)]),
    (61, &[Fixed(1, 4), Fixed(3, RUSAGE)]),
    (63, &[Fixed(0, 390)]),
    (70, &[ResultPlus(1, 8)]),
    (78, &[Result(1)]),
    (79, &[Result(0)]),
    (89, &[Result(1)]),
    (96, &[Fixed(0, 16), Fixed(1, 8)]),
    (97, &[Fixed(1, 16)]),
    (98, &[Fixed(1, RUSAGE)]),
    (99, &[Fixed(0, 112)]),
    (100, &[Fixed(0, 32)]),
    (103, &[Result(1)]),
    (115, &[ResultTimes(1, 4)]),
    (118, &[Fixed(0, 4), Fixed(1, 4), Fixed(2, 4)]),
    (120, &[Fixed(0, 4), Fixed(1, 4), Fixed(2, 4)]),
    (125, &[Always(0, 8), Fixed(1, 24)]),
    (127, &[Length(0, 1)]),
    (128, &[Fixed(1, SIGINFO)]),
    (131, &[Fixed(1, 24)]),
    (136, &[Fixed(1, 32)]),
    (137, &[Fixed(1, 120)]),
    (138, &[Fixed(1, 120)]),
    (139, &[Compare]),
    (143, &[Fixed(1, 4)]),
    (148, &[Fixed(1, 16)]),
    (154, &[Result(1)]),
    (156, &[Compare]),
    (159, &[Fixed(0, 208)]),
    (179, &[Compare]),
    (191, &[Result(2)]),
    (192, &[Result(2)]),
    (193, &[Result(2)]),
    (194, &[Result(1)]),
    (195, &[Result(1)]),
    (196, &[Result(1)]),
    (201, &[Fixed(0, 8)]),
    (202, &[Futex]),
    (204, &[Result(2)]),
    (212, &[Result(1)]),
    (217, &[Result(1)]),
    (222, &[Fixed(2, 4)]),
    (223, &[Fixed(3, 32)]),
    (224, &[Fixed(1, 32)]),
    (228, &[Fixed(1, 16)]),
    (229, &[Fixed(1, 16)]),
    (230, &[Always(3, 16)]),
    (232, &[ResultTimes(1, 12)]),
    (239, &[Fixed(0, 4), Compare]),
    (243, &[Result(1), Fixed(3, 4)]),
    (245, &[Fixed(2, 64)]),
    (247, &[Fixed(2, SIGINFO), Fixed(4, RUSAGE)]),
    (262, &[Fixed(2, STAT)]),
    (267, &[Result(2)]),
    (270, &[Bits(1), Bits(2), Bits(3), Always(4, 16)]),
    (271, &[Times(0, 1, 8), Always(2, 16)]),
    (274, &[Fixed(1, 8), Fixed(2, 8)]),
    (275, &[Fixed(1, 8), Fixed(3, 8)]),
    (278, &[Iovec(1, 2)]),
    (279, &[Times(4, 1, 4)]),
    (281, &[ResultTimes(1, 12)]),
    (286, &[Fixed(3, 32)]),
    (287, &[Fixed(1, 32)]),
    (288, &[LengthAt(1, 2)]),
    (293, &[Fixed(0, 8)]),
    (295, &[Iovec(1, 2)]),
    (299, &[Messages(1), Always(4, 16)]),
    (302, &[Fixed(3, 16)]),
    (303, &[Always(2, 136), Fixed(3, 8)]),
    (305, &[Fixed(1, 208)]),
    (307, &[ResultTimes(1, 64)]),
    (309, &[Fixed(0, 4), Fixed(1, 4)]),
    (310, &[Iovec(1, 2)]),
    (315, &[Length(1, 2)]),
    (318, &[Result(0)]),
    (326, &[Fixed(1, 8), Fixed(3, 8)]),
    (327, &[Iovec(1, 2)]),
    (332, &[Fixed(4, 256)]),
    (435, &[PidFd]),
    (441, &[ResultTimes(1, 12)]),
    (443, &[Compare]),
    (451, &[Fixed(2, 40)]),
    (457, &[Length(1, 2)]),
    (458, &[ResultTimes(1, 8)]),
    (464, &[Compare]),
    (465, &[Result(3)]),
];

/// System V requests that fill their buffer: bytes by command. Sources: shmctl(2), semctl(2), msgctl(2).
fn control(command: u64, argument: u8, sizes: (u32, u32, u32)) -> Cow<'static, [Out]> {
    match command & 0xff {
        2 | 13 | 15 | 18 | 20 | 11 => vec![Fixed(argument, sizes.0)].into(), // IPC_STAT, …_STAT, …_STAT_ANY
        3 => vec![Fixed(argument, sizes.1)].into(),                          // IPC_INFO
        14 | 19 | 12 => vec![Fixed(argument, sizes.2)].into(),               // …_INFO; 12 is GETVAL for semctl, and MSG_INFO
        _ => Cow::Borrowed(&[]),
    }
}

fn fcntl(command: u64) -> Cow<'static, [Out]> {
    match command {
        5 | 36 => vec![Fixed(2, 32)].into(),               // F_GETLK, F_OFD_GETLK
        16 | 17 | 1035 | 1037 => vec![Fixed(2, 8)].into(), // F_GETOWN_EX, F_GETOWNER_UIDS, F_GET_RW_HINT, F_GET_FILE_RW_HINT
        _ => Cow::Borrowed(&[]),
    }
}

fn prctl(option: u64) -> Cow<'static, [Out]> {
    match option {
        2 | 5 | 9 | 11 | 19 | 25 | 37 => vec![Fixed(1, 4)].into(), // PR_GET_PDEATHSIG, …, PR_GET_TSC, PR_GET_CHILD_SUBREAPER
        16 => vec![Fixed(1, 16)].into(),                           // PR_GET_NAME
        40 => vec![Fixed(1, 8)].into(),                            // PR_GET_TID_ADDRESS
        62 => vec![Fixed(4, 8)].into(),                            // PR_SCHED_CORE
        0x4155_5856 => vec![Result(1)].into(),                     // PR_GET_AUXV
        0 | 1 | 3 | 4 | 6..=15 | 17..=39 | 41..=61 | 63..=80 | 0x5961_6d61 | 0x5356_4d41 => Cow::Borrowed(&[]),
        _ => Cow::Borrowed(&[Compare]),
    }
}

/// Sources: keyctl(2), linux/keyctl.h.
fn keyctl(operation: u64) -> Cow<'static, [Out]> {
    match operation {
        6 | 11 | 17 => vec![Length(2, 3)].into(), // KEYCTL_DESCRIBE, …_READ, …_GET_SECURITY
        0..=5 | 7..=10 | 12..=16 | 18..=22 | 29..=30 => Cow::Borrowed(&[]),
        _ => Cow::Borrowed(&[Compare]),
    }
}

/// What call `nr` with these arguments writes; None when the call is not in the table.
#[must_use]
pub fn outs(nr: u32, args: &[u64; 6]) -> Option<Cow<'static, [Out]>> {
    match nr {
        16 => return Some(ioctl::outs(args[1])),
        31 => return Some(control(args[1], 2, (112, 72, 48))),
        66 if matches!(args[2] & 0xff, 13) => return Some(Cow::Borrowed(&[Compare])), // GETALL: nobody says how many
        66 if matches!(args[2] & 0xff, 11 | 12 | 14 | 15 | 16 | 17) => return Some(Cow::Borrowed(&[])), // GETPID …, SETVAL
        66 => return Some(control(args[2], 3, (104, 40, 40))),
        71 => return Some(control(args[1], 2, (120, 32, 32))),
        56 if args[0] & libc::CLONE_PIDFD as u64 != 0 => return Some(Cow::Borrowed(&[Fixed(2, 4)])),
        56 => return Some(Cow::Borrowed(&[])),
        72 => return Some(fcntl(args[1])),
        157 => return Some(prctl(args[0])),
        158 if matches!(args[0], 0x1003 | 0x1004 | 0x1021 | 0x1022 | 0x1024) => return Some(Cow::Borrowed(&[Fixed(1, 8)])),
        158 => return Some(Cow::Borrowed(&[])),
        250 => return Some(keyctl(args[0])),
        317 if args[0] == 3 => return Some(Cow::Borrowed(&[Fixed(2, 6)])), // SECCOMP_GET_NOTIF_SIZES
        _ => {}
    }
    if let Ok(at) = ROWS.binary_search_by_key(&nr, |row| row.0) {
        return Some(ROWS[at].1.into());
    }
    SILENT.binary_search(&nr).ok().map(|_| Cow::Borrowed(&[][..]))
}

/// Whether memory is compared after a call because that is the simplest exact way, not because nobody knows what it writes.
#[must_use]
pub fn compared_on_purpose(nr: u32, args: &[u64; 6]) -> bool {
    match nr {
        16 => ioctl::is_known(args[1]),
        157 => false,
        _ => true,
    }
}

/// Calls that give bytes away: argument of the buffer, and whether it is an iovec array (count in the next argument).
#[must_use]
pub fn sent(nr: u32) -> Option<(u8, bool)> {
    match nr {
        1 | 18 | 44 => Some((1, false)),   // write, pwrite64, sendto
        20 | 296 | 328 => Some((1, true)), // writev, pwritev, pwritev2
        _ => None,
    }
}

/// Calls that programs must find missing here, because the kernel would change memory behind the recorder's back:
/// the error they get. Programs fall back to other calls, as on older kernels.
#[must_use]
pub fn refused(nr: u32) -> Option<i64> {
    match nr {
        334 => Some(-38),       // rseq
        425..=427 => Some(-38), // io_uring
        323 => Some(-38),       // userfaultfd
        206 => Some(-38),       // io_setup
        298 => Some(-38),       // perf_event_open
        447 | 453 => Some(-38), // memfd_secret, map_shadow_stack
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{outs, ROWS, SILENT};

    #[test]
    fn tables_are_sorted_and_disjoint() {
        assert!(ROWS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(SILENT.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ROWS.iter().all(|row| SILENT.binary_search(&row.0).is_err()));
    }

    #[test]
    fn unknown_calls_are_not_taken_for_silent_ones() {
        assert_eq!(outs(9_999, &[0; 6]), None);
    }
}
