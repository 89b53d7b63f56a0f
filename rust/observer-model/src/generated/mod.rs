// SPDX-License-Identifier: Apache-2.0
//! Tables written by `tools/gen_syscalls.py` from `tools/syscalls/`.

pub mod aarch64;
pub mod flags;
pub mod names;
pub mod structs;
pub mod x86_64;

/// What the table files are written in.
#[allow(missing_docs)]
mod prelude {
    pub use super::{flags, structs};
    pub use crate::fetch::{Cond, Fetch, Len, Shape};
    pub use crate::meaning::ArgType::*;
    pub use crate::meaning::{Arg, ArgType, Dir, Field, FlagTable, Ret, Special as K, StructDef, Variant, Variants};
    pub use crate::record::When::{self, Entry, Exit};
    pub use crate::syscall::{Classes, Depth, Syscall};

    /// A number behind a pointer.
    pub const fn number(width: u8, signed: bool, ty: ArgType) -> Field {
        Field { name: "", offset: 0, width, count: 1, signed, ty }
    }

    pub const fn a(name: &'static str, ty: ArgType) -> Arg {
        Arg { name, ty, cond: Cond::Always, narrow: false }
    }

    pub const fn ac(name: &'static str, ty: ArgType, cond: Cond) -> Arg {
        Arg { name, ty, cond, narrow: false }
    }

    pub const fn f(arg: u8, when: When, shape: Shape) -> Fetch {
        Fetch { arg, when, shape, cond: Cond::Always, on_error: false }
    }

    pub const fn fx(arg: u8, when: When, shape: Shape, cond: Cond, on_error: bool) -> Fetch {
        Fetch { arg, when, shape, cond, on_error }
    }

    /// One entry; the order is that of the columns in the generated files.
    #[allow(clippy::too_many_arguments)]
    pub const fn s(
        nr: u32,
        name: &'static str,
        args: &'static [Arg],
        ret: Ret,
        fetches: &'static [Fetch],
        classes: Classes,
        depth: Depth,
        shown: &'static [u8],
        variants: Option<&'static Variants>,
    ) -> Option<Syscall> {
        let fully_decoded = matches!(depth, Depth::Full);
        Some(Syscall { nr, name, args, ret, fetches, classes, fully_decoded, depth, shown, variants })
    }
}
