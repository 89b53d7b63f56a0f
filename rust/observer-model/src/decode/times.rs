// SPDX-License-Identifier: Apache-2.0
//! Times: what is left of a sleep, file times with their dates.

use super::context::{read_uint, Context, Shown};
use super::memory::structure;
use super::ArgClass;
use crate::generated::structs;
use crate::record::When;

const UTIME_NOW: u64 = 0x3fff_ffff;
const UTIME_OMIT: u64 = 0x3fff_fffe;
const EINTR: u16 = 4;
const FIRST_RESTART: u16 = 512;

/// The rest of a sleep; the kernel writes it only when a signal ended the sleep.
pub(super) fn remaining(context: &Context<'_>, index: usize) -> Option<Shown> {
    context.rec.errno().filter(|errno| *errno == EINTR || *errno >= FIRST_RESTART)?;
    let blob = context.part(index, When::Exit, 0)?;
    Some(Shown::new(structure(&structs::TIMESPEC, &blob.bytes, context.arch)?, ArgClass::Time, false))
}

/// `[1600000000 /* 2020-09-13T12:26:40+0000 */]`.
pub(super) fn seconds(context: &Context<'_>, index: usize) -> Option<Shown> {
    let seconds = signed(&context.part(index, When::Exit, 0)?.bytes, 0)?;
    Some(Shown::new(format!("[{seconds} /* {} */]", date(seconds, 0, 1)), ArgClass::Time, false))
}

/// Two file times in parts of a second: `[UTIME_NOW, {tv_sec=1, tv_nsec=2} /* 1970-01-01T00:00:01.000000002+0000 */]`.
pub(super) fn pair(context: &Context<'_>, index: usize, parts: u64) -> Option<Shown> {
    let bytes = &context.part(index, When::Entry, 0)?.bytes;
    let (first, second) = (one(bytes, 0, parts)?, one(bytes, 16, parts)?);
    Some(Shown::new(format!("[{first}, {second}]"), ArgClass::Time, false))
}

fn one(bytes: &[u8], at: usize, parts: u64) -> Option<String> {
    let (seconds, fraction) = (signed(bytes, at)?, read_uint(bytes, at + 8, 8)?);
    let unit = if parts == 1_000_000 { "usec" } else { "nsec" };
    match fraction {
        UTIME_NOW if unit == "nsec" => Some("UTIME_NOW".to_owned()),
        UTIME_OMIT if unit == "nsec" => Some("UTIME_OMIT".to_owned()),
        _ => Some(format!("{{tv_sec={seconds}, tv_{unit}={fraction}}} /* {} */", date(seconds, fraction, parts))),
    }
}

#[allow(clippy::cast_possible_wrap)]
fn signed(bytes: &[u8], at: usize) -> Option<i64> {
    read_uint(bytes, at, 8).map(|value| value as i64)
}

/// A point in time in UTC. The calendar is Gregorian, counted in eras of 400 years from 1 March of year 0.
pub(super) fn date(seconds: i64, fraction: u64, parts: u64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let since = i128::from(days) + 719_468;
    let (era, day_of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    let digits = parts.checked_ilog10().unwrap_or(0) as usize;
    let tail = if fraction == 0 || fraction >= parts { String::new() } else { format!(".{fraction:0digits$}") };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{tail}+0000")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0, 0, 1), "1970-01-01T00:00:00+0000");
        assert_eq!(date(1_600_000_000, 123, 1_000_000_000), "2020-09-13T12:26:40.000000123+0000");
        assert_eq!(date(951_782_400, 0, 1), "2000-02-29T00:00:00+0000");
        assert_eq!(date(-1, 5, 1_000_000), "1969-12-31T23:59:59.000005+0000");
    }
}
