// SPDX-License-Identifier: Apache-2.0
//! Records a command so that it can be replayed: everything that comes from outside the program, in the order in which it came.

pub mod checks;
pub mod compare;
pub mod emitter;
pub mod held;
pub mod image;
pub mod lives;
pub mod moved;
pub mod outputs;
pub mod pages;
pub mod partly;
pub mod places;
pub mod protect;
pub mod random;
pub mod run;
pub mod signals;
pub mod special;
pub mod spins;
pub mod store;
pub mod streams;
pub mod task;
pub mod ticker;
pub mod tracer;
pub mod vdso;

mod calls;
