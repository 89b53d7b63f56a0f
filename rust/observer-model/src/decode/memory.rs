// SPDX-License-Identifier: Apache-2.0
//! Arguments that point to memory whose layout the table knows.

use super::context::{read_uint, Context, Shown};
use super::text::{quote, quote_until_nul};
use super::{number, ArgClass};
use crate::fetch::{Len, Shape};
use crate::meaning::{ArgType, Dir, Field, StructDef};
use crate::record::{flags, Blob, When};
use crate::syscall::Arch;

/// Bytes of the longest path, its NUL included. Source: linux/limits.h.
const PATH_MAX: usize = 4096;

/// Shows an argument from captured memory; None when there is none and the register must do.
pub(super) fn show(context: &Context<'_>, index: usize, ty: ArgType) -> Option<Shown> {
    match ty {
        ArgType::Path => text(context, index, ArgClass::Path),
        ArgType::Text => text(context, index, ArgClass::Text),
        ArgType::PathOut => path_out(context, index),
        ArgType::TextOut => {
            let blob = context.part(index, When::Exit, 0)?;
            Some(Shown::new(quote_until_nul(&blob.bytes), ArgClass::Text, true))
        }
        ArgType::Data(dir) => data(context, index, dir),
        ArgType::Struct(layout, dir) => {
            let timeout = dir == Dir::InOut && class_of(layout) == ArgClass::Time;
            let blob = context.pointee(index, if timeout { Dir::In } else { dir })?;
            let text = structure(layout, &blob.bytes, context.arch)?;
            Some(Shown::new(text, class_of(layout), layout.stable && dir == Dir::In))
        }
        ArgType::Array(..) | ArgType::Numbers(..) if nothing_written(context, index, ty) => {
            Some(Shown::new("[]", ArgClass::Struct, true))
        }
        ArgType::Array(layout, dir) => {
            let blob = context.pointee(index, dir)?;
            Some(Shown::new(array(layout, blob, context.arch), class_of(layout), layout.stable && dir == Dir::In))
        }
        ArgType::Number(field, dir) => numbers_in_out(context, index, field, dir),
        ArgType::Numbers(field, dir) => {
            let text = numbers(field, context.pointee(index, dir)?);
            Some(Shown::new(text, ArgClass::Struct, dir == Dir::In || context.call.name.starts_with("pipe")))
        }
        _ => None,
    }
}

/// The kernel wrote no element: no descriptor was ready, no group is held.
fn nothing_written(context: &Context<'_>, index: usize, ty: ArgType) -> bool {
    let out = matches!(ty, ArgType::Array(_, Dir::Out) | ArgType::Numbers(_, Dir::Out));
    let counted =
        context.call.fetches.iter().any(|fetch| {
            usize::from(fetch.arg) == index && matches!(fetch.shape, Shape::Struct(Len::Result | Len::ResultTimes(_)))
        });
    let returned = context.rec.flags & flags::NO_RESULT == 0 && !context.failed();
    out && counted && returned && context.rec.result == 0 && context.arg(index) != 0
}

fn text(context: &Context<'_>, index: usize, class: ArgClass) -> Option<Shown> {
    let blob = context.part(index, When::Entry, 0)?;
    // The kernel refuses longer paths, and strace shows no more of them.
    let end = if class == ArgClass::Path { PATH_MAX - 1 } else { usize::MAX };
    let kept = blob.bytes.get(..end).unwrap_or(&blob.bytes);
    Some(Shown::new(quote(kept, blob.truncated || kept.len() < blob.bytes.len()), class, true))
}

fn path_out(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = context.part(index, When::Exit, 0)?;
    let bytes = blob.bytes.strip_suffix(&[0]).unwrap_or(&blob.bytes);
    Some(Shown::new(quote(bytes, blob.truncated), ArgClass::Path, true))
}

fn data(context: &Context<'_>, index: usize, dir: Dir) -> Option<Shown> {
    let stable = dir == Dir::In;
    if let Some(blob) = context.pointee(index, dir) {
        return Some(Shown::new(quote(&blob.bytes, blob.truncated), ArgClass::Data, stable));
    }
    let none_given = context.call.fetches.iter().any(|fetch| match fetch.shape {
        Shape::Data(Len::Arg(count)) => usize::from(fetch.arg) == index && context.arg(usize::from(count)) == 0,
        _ => false,
    });
    if dir == Dir::In && none_given && context.arg(index) != 0 {
        return Some(Shown::new("\"\"", ArgClass::Data, true));
    }
    let returned = context.rec.flags & flags::NO_RESULT == 0 && !context.failed();
    let nothing_read = dir == Dir::Out && returned && context.rec.result == 0;
    (nothing_read && context.arg(index) != 0).then(|| Shown::new("\"\"", ArgClass::Data, stable))
}

fn class_of(layout: &StructDef) -> ArgClass {
    let times = ["timespec", "timeval", "itimerspec", "itimerval", "tms", "rusage", "utimbuf"];
    if times.contains(&layout.name) {
        ArgClass::Time
    } else {
        ArgClass::Struct
    }
}

/// `{a=1, b=2}`; None when not even the first field is there.
pub(super) fn structure(layout: &StructDef, bytes: &[u8], arch: Arch) -> Option<String> {
    let shown = layout.fields.iter().filter_map(|field| {
        let value = field_text(field, bytes, arch)?;
        Some(format!("{}={value}", field.name))
    });
    let mut words: Vec<String> = shown.collect();
    if words.is_empty() {
        return None;
    }
    if layout.abridged || words.len() < layout.fields.len() {
        words.push("...".to_owned());
    }
    Some(format!("{{{}}}", words.join(", ")))
}

/// A field's value; None when the bytes end before it.
pub(super) fn field_text(field: &Field, bytes: &[u8], arch: Arch) -> Option<String> {
    let offset = usize::from(field.offset);
    if let ArgType::Struct(inner, _) = field.ty {
        return structure(inner, bytes.get(offset..)?, arch);
    }
    let (width, count) = (usize::from(field.width), usize::from(field.count));
    if field.ty == ArgType::Text {
        return Some(quote_until_nul(bytes.get(offset..offset + count)?));
    }
    if count == 1 {
        return number_text(field, bytes, offset);
    }
    let each = (0..count).map(|at| number_text(field, bytes, offset + at * width));
    Some(format!("[{}]", each.collect::<Option<Vec<_>>>()?.join(", ")))
}

fn number_text(field: &Field, bytes: &[u8], offset: usize) -> Option<String> {
    let width = usize::from(field.width);
    let raw = read_uint(bytes, offset, width)?;
    let bits = matches!(field.ty, ArgType::Flags(_));
    let value = if field.signed && !bits { sign_extend(raw, width) } else { raw };
    Some(number::show(field.ty, value).text)
}

#[allow(clippy::cast_sign_loss, clippy::cast_possible_wrap)]
fn sign_extend(value: u64, width: usize) -> u64 {
    let unused = 64 - 8 * width.clamp(1, 8) as u32;
    ((value << unused) as i64 >> unused) as u64
}

/// `[{…}, {…}]`.
pub(super) fn array(layout: &StructDef, blob: &Blob, arch: Arch) -> String {
    let size = usize::from(layout.size).max(1);
    let mut words: Vec<String> = blob.bytes.chunks_exact(size).filter_map(|chunk| structure(layout, chunk, arch)).collect();
    if blob.truncated {
        words.push("...".to_owned());
    }
    format!("[{}]", words.join(", "))
}

fn numbers(field: &Field, blob: &Blob) -> String {
    let width = usize::from(field.width).max(1);
    let count = blob.bytes.len() / width;
    let mut words: Vec<String> = (0..count).filter_map(|at| number_text(field, &blob.bytes, at * width)).collect();
    if blob.truncated {
        words.push("...".to_owned());
    }
    format!("[{}]", words.join(", "))
}

/// `[3]`, or `[0] => [10]` when the kernel changed what it read.
fn numbers_in_out(context: &Context<'_>, index: usize, field: &Field, dir: Dir) -> Option<Shown> {
    let shown = |when| context.part(index, when, 0).map(|blob| numbers(field, blob));
    let text = match dir {
        Dir::InOut => match (shown(When::Entry), shown(When::Exit)) {
            (Some(before), Some(after)) if before != after => format!("{before} => {after}"),
            (before, after) => before.or(after)?,
        },
        _ => shown(dir.when())?,
    };
    let varies = matches!(field.ty, ArgType::Pid | ArgType::Address);
    let class = if field.ty == ArgType::Pid { ArgClass::Pid } else { ArgClass::Struct };
    Some(Shown::new(text, class, dir != Dir::Out && !varies))
}
