// SPDX-License-Identifier: Apache-2.0
//! The three forms of a log's line.

use observer_evidence::parse_line;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One line taken apart; slices point into it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// The event's exact bytes.
    pub(crate) event: &'a [u8],
    /// Sequence of a sealed line.
    pub(crate) seq: Option<u64>,
    /// Set on the writer's own records.
    pub(crate) own: bool,
    /// Hexadecimal text of the chain value.
    pub(crate) chain: Option<&'a str>,
    /// Hexadecimal text of the HMAC.
    pub(crate) hmac: Option<&'a str>,
    /// Form of the line.
    pub(crate) form: Form,
}

/// How a line is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Sealed,
    Original,
    Plain,
}

impl Form {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Original => "original",
            Self::Plain => "plain",
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(rename = "chainHash")]
    chain: &'a str,
    #[serde(default)]
    hmac: Option<&'a str>,
}

/// Take a line apart; None where it is of no form.
pub(crate) fn split(line: &[u8]) -> Option<Entry<'_>> {
    if let Ok(parsed) = parse_line(line) {
        return Some(Entry {
            event: parsed.event,
            seq: Some(parsed.seq),
            own: parsed.kind.is_some(),
            chain: std::str::from_utf8(parsed.chain).ok(),
            hmac: parsed.hmac.and_then(|text| std::str::from_utf8(text).ok()),
            form: Form::Sealed,
        });
    }
    if let Some(entry) = split_original(line) {
        return Some(entry);
    }
    let text = std::str::from_utf8(line).ok()?;
    let text = text.strip_suffix('\r').unwrap_or(text);
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) {
        let event = envelope.event.get();
        return (event.starts_with('{')).then_some(Entry {
            event: event.as_bytes(),
            seq: None,
            own: false,
            chain: is_hex(envelope.chain).then_some(envelope.chain),
            hmac: envelope.hmac.filter(|text| is_hex(text)),
            form: Form::Original,
        });
    }
    (text.starts_with('{') && text.ends_with('}')).then_some(Entry {
        event: text.as_bytes(),
        seq: None,
        own: false,
        chain: None,
        hmac: None,
        form: Form::Plain,
    })
}

/// The original form as its writer spells it; works on bytes, for that writer let text through that is not UTF-8.
fn split_original(line: &[u8]) -> Option<Entry<'_>> {
    let body = line.strip_suffix(b"\r").unwrap_or(line).strip_prefix(b"{\"event\":{")?.strip_suffix(b"\"}")?;
    let (body, last) = body.split_at(body.len().checked_sub(64)?);
    let last = std::str::from_utf8(last).ok().filter(|text| is_hex(text))?;
    let (body, chain, hmac) = match body.strip_suffix(b",\"hmac\":\"") {
        None => (body.strip_suffix(b",\"chainHash\":\"")?, last, None),
        Some(signed) => {
            let signed = signed.strip_suffix(b"\"")?;
            let (body, chain) = signed.split_at(signed.len().checked_sub(64)?);
            let chain = std::str::from_utf8(chain).ok().filter(|text| is_hex(text))?;
            (body.strip_suffix(b",\"chainHash\":\"")?, chain, Some(last))
        }
    };
    body.strip_suffix(b"}")?;
    let event = line.get(9..10 + body.len())?;
    Some(Entry { event, seq: None, own: false, chain: Some(chain), hmac, form: Form::Original })
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::{split, Form};

    #[test]
    fn three_forms() {
        let chain = "ab".repeat(32);
        let original = format!("{{\"event\":{{\"message\":\"a }} b\"}},\"chainHash\":\"{chain}\"}}");
        let entry = split(original.as_bytes()).expect("original");
        assert_eq!((entry.form, entry.event), (Form::Original, &b"{\"message\":\"a } b\"}"[..]));
        let signed = format!("{{\"event\":{{\"m\":1}},\"chainHash\":\"{chain}\",\"hmac\":\"{chain}\"}}");
        let entry = split(signed.as_bytes()).expect("signed");
        assert_eq!((entry.event, entry.hmac), (&b"{\"m\":1}"[..], Some(&*chain)));
        let spaced = format!("{{ \"chainHash\" : \"{chain}\", \"event\" : {{\"m\": 1}} }}");
        assert_eq!(split(spaced.as_bytes()).expect("spaced").event, b"{\"m\": 1}");
        let sealed = format!("{{\"seq\":7,\"event\":{{}},\"chainHash\":\"{chain}\"}}");
        assert_eq!(split(sealed.as_bytes()).expect("sealed").seq, Some(7));
        assert_eq!(split(b"{\"message\":\"x\"}").expect("plain").form, Form::Plain);
        let mut torn = original.clone().into_bytes();
        torn[21] = 0xff;
        assert_eq!(split(&torn).expect("bytes that are no text").form, Form::Original);
        assert!(split(b"neither").is_none());
        assert!(split(&original.as_bytes()[..40]).is_none());
    }
}
