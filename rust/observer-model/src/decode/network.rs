// SPDX-License-Identifier: Apache-2.0
//! Sockets: addresses, protocols, options, messages.

use super::context::{read_uint, Context, Shown};
use super::flags::{name_of, show_enum};
use super::memory::structure;
use super::number::hex;
use super::text::{quote, quote_until_nul};
use super::{files, ArgClass};
use crate::generated::{flags, structs};
use crate::meaning::{Dir, FlagTable};
use crate::record::When;
use core::net::{Ipv4Addr, Ipv6Addr};

const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_NETLINK: u64 = 16;
const AF_PACKET: u64 = 17;
const SOL_SOCKET: u64 = 1;
const SO_LINGER: u64 = 13;
const SO_PEERCRED: u64 = 17;
const SO_ATTACH_FILTER: u64 = 26;
/// A header of control data: length, level, type.
const CMSG_HEADER: usize = 16;

/// A socket address argument; an address the kernel wrote is cut to the room the caller gave it.
pub(super) fn socket_address(context: &Context<'_>, index: usize, dir: Dir) -> Option<Shown> {
    let bytes = &context.part(index, dir.when(), 0)?.bytes;
    let room = match dir {
        Dir::In => None,
        _ => context.part(index + 1, When::Entry, 0).and_then(|blob| read_uint(&blob.bytes, 0, 4)),
    };
    let room = room.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
    let text = address_text(bytes.get(..bytes.len().min(room))?)?;
    Some(Shown::new(text, ArgClass::Socket, dir == Dir::In))
}

/// `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}`.
pub(super) fn address_text(bytes: &[u8]) -> Option<String> {
    let family = read_uint(bytes, 0, 2)?;
    let name = show_enum(&flags::SOCKET_FAMILIES, family);
    let body = match family {
        AF_UNIX => unix_path(bytes),
        AF_INET => inet(bytes),
        AF_INET6 => inet6(bytes),
        AF_NETLINK => netlink(bytes),
        AF_PACKET => packet(bytes),
        _ => None,
    };
    let rest = bytes.get(2..).unwrap_or(&[]);
    let body = match body {
        Some(body) => body,
        None if rest.is_empty() => String::new(),
        None => format!(", sa_data={}", quote(rest, false)),
    };
    Some(format!("{{sa_family={name}{body}}}"))
}

fn unix_path(bytes: &[u8]) -> Option<String> {
    match bytes.get(2..)? {
        [] => Some(String::new()),
        [0, name @ ..] => Some(format!(", sun_path=@{}", quote(name, false))),
        path => {
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            Some(format!(", sun_path={}", quote(path.get(..end)?, false)))
        }
    }
}

fn port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))
}

fn inet(bytes: &[u8]) -> Option<String> {
    bytes.get(15)?;
    let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    Some(format!(", sin_port=htons({}), sin_addr=inet_addr(\"{}\")", port(bytes)?, Ipv4Addr::from(ip)))
}

fn inet6(bytes: &[u8]) -> Option<String> {
    let flow = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
    let scope = match read_uint(bytes, 24, 4) {
        Some(scope) => format!(", sin6_scope_id={scope}"),
        None => String::new(),
    };
    let ip = Ipv6Addr::from(ip);
    let port = port(bytes)?;
    Some(format!(", sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), inet_pton(AF_INET6, \"{ip}\", &sin6_addr){scope}"))
}

fn netlink(bytes: &[u8]) -> Option<String> {
    let (pid, groups) = (read_uint(bytes, 4, 4)?, read_uint(bytes, 8, 4)?);
    let groups = if groups == 0 { "00000000".to_owned() } else { format!("{groups:#08x}") };
    Some(format!(", nl_pid={pid}, nl_groups={groups}"))
}

fn packet(bytes: &[u8]) -> Option<String> {
    let protocol = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let field = |offset, width| read_uint(bytes, offset, width);
    let (interface, hardware, kind, length) = (field(4, 4)?, field(8, 2)?, field(10, 1)?, field(11, 1)?);
    Some(format!(
        ", sll_protocol={}, sll_ifindex={interface}, sll_hatype={hardware}, sll_pkttype={kind}, sll_halen={length}",
        ethertype(protocol.swap_bytes())
    ))
}

/// A protocol of the link layer, given in network order.
fn ethertype(network_order: u16) -> String {
    let value = u64::from(network_order.swap_bytes());
    let name = name_of(flags::ETHERTYPES.values, value).map_or_else(|| hex(value), str::to_owned);
    format!("htons({name})")
}

/// `[16]`, or `[128 => 16]` when the kernel shortened it.
pub(super) fn socket_length(context: &Context<'_>, index: usize) -> Option<Shown> {
    let length = |when| context.part(index, when, 0).and_then(|blob| read_uint(&blob.bytes, 0, 4));
    let text = match (length(When::Entry)?, length(When::Exit)) {
        (before, Some(after)) if before != after => format!("[{before} => {after}]"),
        (before, _) => format!("[{before}]"),
    };
    Some(Shown::new(text, ArgClass::Size, true))
}

/// The protocol of a socket, named within its family.
pub(super) fn protocol(context: &Context<'_>, index: usize) -> Shown {
    let value = u64::from(context.low(index));
    let text = match u64::from(context.low(0)) {
        AF_INET | AF_INET6 => show_enum(&flags::INET_PROTOCOLS, value),
        AF_NETLINK => show_enum(&flags::NETLINK_PROTOCOLS, value),
        AF_PACKET => ethertype((value & 0xffff) as u16),
        _ => value.to_string(),
    };
    Shown::new(text, ArgClass::Flags, true)
}

fn option_table(level: u64) -> Option<&'static FlagTable> {
    match level {
        SOL_SOCKET => Some(&flags::SO_OPTIONS),
        0 => Some(&flags::IP_OPTIONS),
        6 => Some(&flags::TCP_OPTIONS),
        17 => Some(&flags::UDP_OPTIONS),
        41 => Some(&flags::IPV6_OPTIONS),
        270 => Some(&flags::NETLINK_OPTIONS),
        _ => None,
    }
}

/// The name of a socket option within its level (the argument before it).
pub(super) fn option_name(context: &Context<'_>, index: usize) -> Shown {
    let value = u64::from(context.low(index));
    let text = match option_table(u64::from(context.low(index - 1))) {
        Some(table) => show_enum(table, value),
        None => value.to_string(),
    };
    Shown::new(text, ArgClass::Flags, true)
}

/// A socket option's value: a number, a structure that is known, or bytes.
pub(super) fn option_value(context: &Context<'_>, index: usize, dir: Dir) -> Option<Shown> {
    let blob = context.part(index, dir.when(), 0)?;
    let bytes = &blob.bytes;
    let option = (u64::from(context.low(index - 2)), u64::from(context.low(index - 1)));
    let known = match option {
        (SOL_SOCKET, SO_LINGER) => structure(&structs::LINGER, bytes, context.arch),
        (SOL_SOCKET, SO_PEERCRED) => structure(&structs::UCRED, bytes, context.arch),
        (SOL_SOCKET, SO_ATTACH_FILTER) => structure(&structs::SOCK_FPROG, bytes, context.arch),
        _ if bytes.len() == 4 => Some(format!("[{}]", signed(bytes, 0)?)),
        _ if bytes.len() < 4 && dir == Dir::In && option.1 != 25 => return None,
        _ => Some(quote(bytes, blob.truncated)),
    };
    Some(Shown::new(known?, ArgClass::Struct, dir == Dir::In))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
fn signed(bytes: &[u8], offset: usize) -> Option<i32> {
    Some(read_uint(bytes, offset, 4)? as u32 as i32)
}

/// A message header with its name, buffers and control data.
pub(super) fn message(context: &Context<'_>, index: usize, dir: Dir) -> Option<Shown> {
    let when = dir.when();
    let header = &context.part(index, when, 0)?.bytes;
    let (name, name_length) = (read_uint(header, 0, 8)?, read_uint(header, 8, 4)?);
    let (vectors, count) = (read_uint(header, 16, 8)?, read_uint(header, 24, 8)?);
    let (control, control_length) = (read_uint(header, 32, 8)?, read_uint(header, 40, 8)?);
    let named = context.part(index, when, 1).and_then(|blob| address_text(&blob.bytes));
    let name = named.unwrap_or_else(|| pointer(name));
    let vectors = files::buffers(context, index, when, 3).unwrap_or_else(|| pointer(vectors));
    let control = match context.part(index, when, 2) {
        _ if control == 0 || control_length == 0 => String::new(),
        Some(blob) => format!("msg_control={}, ", control_text(&blob.bytes)),
        None => format!("msg_control={}, ", pointer(control)),
    };
    let flags = super::flags::show_flags(&flags::MSG_FLAGS, read_uint(header, 48, 4)?);
    let text = format!(
        "{{msg_name={name}, msg_namelen={name_length}, msg_iov={vectors}, msg_iovlen={count}, \
         {control}msg_controllen={control_length}, msg_flags={flags}}}"
    );
    Some(Shown::new(text, ArgClass::Data, dir == Dir::In))
}

fn pointer(value: u64) -> String {
    super::number::address(value).text
}

/// `[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[3]}]`.
fn control_text(bytes: &[u8]) -> String {
    let (mut at, mut words) = (0usize, Vec::new());
    while let Some(length) = read_uint(bytes, at, 8).and_then(|length| usize::try_from(length).ok()) {
        let end = at.saturating_add(length).min(bytes.len());
        let (Some(level), Some(kind)) = (read_uint(bytes, at + 8, 4), read_uint(bytes, at + 12, 4)) else { break };
        let Some(data) = bytes.get(at + CMSG_HEADER..end) else { break };
        words.push(format!("{{cmsg_len={length}, {}}}", control_item(level, kind, data)));
        at = at.saturating_add(length.saturating_add(7) & !7);
    }
    format!("[{}]", words.join(", "))
}

fn control_item(level: u64, kind: u64, data: &[u8]) -> String {
    let level_name = show_enum(&flags::SOCKET_LEVELS, level);
    if level != SOL_SOCKET {
        return format!("cmsg_level={level_name}, cmsg_type={}, cmsg_data={}", hex(kind), quote(data, false));
    }
    let data = match kind {
        1 => {
            let fds: Vec<String> = data.chunks_exact(4).filter_map(|fd| Some(signed(fd, 0)?.to_string())).collect();
            format!("[{}]", fds.join(", "))
        }
        2 => structure(&structs::UCRED, data, crate::Arch::X86_64).unwrap_or_else(|| quote(data, false)),
        3 => quote_until_nul(data),
        _ => quote(data, false),
    };
    format!("cmsg_level={level_name}, cmsg_type={}, cmsg_data={data}", show_enum(&flags::SCM_TYPES, kind))
}
