// SPDX-License-Identifier: Apache-2.0
//! What ioctl(2) requests write. Sources: asm-generic/ioctls.h, linux/sockios.h, asm-generic/ioctl.h.

use super::Out;

const NOTHING: &[Out] = &[];
const COMPARE: &[Out] = &[Out::Compare];

/// Requests of before there was an encoding, by what they write.
const OLD: &[(u64, &[Out])] = &[
    (0x5401, &[Out::Fixed(2, 36)]), // TCGETS
    (0x5405, &[Out::Fixed(2, 18)]), // TCGETA
    (0x540f, &[Out::Fixed(2, 4)]),  // TIOCGPGRP
    (0x5411, &[Out::Fixed(2, 4)]),  // TIOCOUTQ
    (0x5413, &[Out::Fixed(2, 8)]),  // TIOCGWINSZ
    (0x5415, &[Out::Fixed(2, 4)]),  // TIOCMGET
    (0x5419, &[Out::Fixed(2, 4)]),  // TIOCGSOFTCAR
    (0x541b, &[Out::Fixed(2, 4)]),  // FIONREAD
    (0x5424, &[Out::Fixed(2, 4)]),  // TIOCGETD
    (0x5429, &[Out::Fixed(2, 4)]),  // TIOCGSID
    (0x5460, &[Out::Fixed(2, 8)]),  // FIOQSIZE
    (0x1, &[Out::Fixed(2, 4)]),     // FIBMAP
    (0x2, &[Out::Fixed(2, 4)]),     // FIGETBSZ
    (0x1260, &[Out::Fixed(2, 8)]),  // BLKGETSIZE
    (0x1268, &[Out::Fixed(2, 4)]),  // BLKSSZGET
    (0x8912, &[Out::Counted(2)]),   // SIOCGIFCONF
    (0x8905, &[Out::Fixed(2, 4)]),  // SIOCATMARK
    (0x8903, &[Out::Fixed(2, 4)]),  // FIOGETOWN
    (0x8904, &[Out::Fixed(2, 4)]),  // SIOCGPGRP
    (0x8906, &[Out::Fixed(2, 16)]), // SIOCGSTAMP
    (0x8907, &[Out::Fixed(2, 16)]), // SIOCGSTAMPNS
];

/// Old requests that write nothing.
const SILENT: &[u64] = &[
    0x5402, 0x5403, 0x5404, 0x5406, 0x5407, 0x5408, 0x5409, 0x540a, 0x540b, 0x540c, 0x540d, 0x540e, 0x5410, 0x5412, 0x5414,
    0x5416, 0x5417, 0x5418, 0x541a, 0x541c, 0x541d, 0x5420, 0x5421, 0x5422, 0x5423, 0x5425, 0x5427, 0x5428, 0x5437, 0x5441,
    0x5450, 0x5451, 0x5452, 0x125d, 0x125f, 0x8901, 0x8902, 0x2400, 0x2401, 0x2403, 0x2405,
];

/// Families whose encoded size is all there is: no pointer hides inside their structures.
const FLAT: &[u8] = b"fTRvXp!\x12\x94\xb7o";

/// Requests that write through pointers inside their structures: SIOCETHTOOL, FS_IOC_FIEMAP.
const DEEP: [u64; 2] = [0x8946, 0xc020_660b];

/// Whether what a request writes is known.
#[must_use]
pub fn is_known(request: u64) -> bool {
    DEEP.contains(&(request & 0xffff_ffff)) || !outs(request).contains(&Out::Compare)
}

/// What a request writes, as far as known; [`Out::Compare`] when it is not.
#[must_use]
pub fn outs(request: u64) -> std::borrow::Cow<'static, [Out]> {
    let request = request & 0xffff_ffff;
    if let Some((_, outs)) = OLD.iter().find(|(number, _)| *number == request) {
        return (*outs).into();
    }
    let (direction, size, family) =
        (request >> 30, u32::try_from(request >> 16 & 0x3fff).unwrap_or(0), (request >> 8 & 0xff) as u8);
    if SILENT.contains(&request) {
        return NOTHING.into();
    }
    if DEEP.contains(&request) {
        return COMPARE.into();
    }
    if request >> 16 == 0 && family == 0x89 {
        return vec![Out::Fixed(2, 72)].into(); // struct ifreq of 40, struct arpreq of 68
    }
    if !FLAT.contains(&family) || (direction == 0 && size == 0) {
        return COMPARE.into();
    }
    if direction & 2 != 0 {
        return vec![Out::Fixed(2, size)].into();
    }
    NOTHING.into()
}
