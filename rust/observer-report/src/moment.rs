// SPDX-License-Identifier: Apache-2.0
//! RFC 3339 times as nanoseconds since 1970 and back. Civil-calendar arithmetic after the proleptic Gregorian calendar.

const SECOND: i64 = 1_000_000_000;

/// Nanoseconds since 1970 of an RFC 3339 time with any fraction and a zone; None where it is none or out of range.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().try_fold(0i64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let separators = (bytes[4], bytes[7], bytes[10], bytes[13], bytes[16]);
    if !matches!(separators, (b'-', b'-', b'T' | b't' | b' ', b':', b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut fraction = 0i64;
    if matches!(bytes[at], b'.' | b',') {
        at += 1;
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        for place in 0..9 {
            let digit = if place < digits { i64::from(bytes[at + place] - b'0') } else { 0 };
            fraction = fraction * 10 + digit;
        }
        at += digits;
    }
    let zone = match bytes.get(at)? {
        b'Z' | b'z' if at + 1 == bytes.len() => 0,
        sign @ (b'+' | b'-') if at + 6 == bytes.len() && bytes[at + 3] == b':' => {
            let offset = number(at + 1, at + 3)? * 3600 + number(at + 4, at + 6)? * 60;
            if *sign == b'-' {
                -offset
            } else {
                offset
            }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - zone;
    seconds.checked_mul(SECOND)?.checked_add(fraction)
}

/// RFC 3339 with nine decimals and `Z`.
pub(crate) fn format(ns: i64) -> String {
    let (seconds, fraction) = (ns.div_euclid(SECOND), ns.rem_euclid(SECOND));
    let (day, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

/// Days since 1970-01-01 of a civil date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Civil date of a day since 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn there_and_back() {
        for (text, ns) in [
            ("1970-01-01T00:00:00.000000000Z", 0),
            ("2026-11-27T10:40:09.123456789Z", 1_795_776_009_123_456_789),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2000-02-29T12:00:00.500000000Z", 951_825_600_500_000_000),
        ] {
            assert_eq!(parse(text), Some(ns), "{text}");
            assert_eq!(format(ns), text);
        }
        assert_eq!(parse("2026-11-27T12:40:09.1+02:00"), parse("2026-11-27T10:40:09.100000Z"));
    }

    #[test]
    fn what_is_no_time() {
        for text in ["", "2026-13-01T00:00:00Z", "2026-11-27T10:40:09", "yesterday, at about noon", "2026-11-27T10:40:09.1é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
