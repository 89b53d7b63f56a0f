// SPDX-License-Identifier: Apache-2.0
//! Processes as images: stops them, marks what they write, copies their memory, and re-creates them from a snapshot.
//!
//! Below, `sys` wraps the kernel; above it, each file does one thing and `session` puts them together.

pub mod bodies;
pub mod capture;
pub mod cell;
pub mod components;
pub mod descriptors;
pub mod draft;
pub mod error;
pub mod finish;
pub mod forked;
pub mod hurry;
pub mod inject;
pub mod kept;
pub mod layer;
pub mod maps;
pub mod memory;
pub mod origin;
pub mod pagemap;
pub mod pipeline;
pub mod policy;
pub mod procfs;
pub mod recreate;
pub mod request;
pub mod rounds;
pub mod session;
pub mod standing;
pub mod stop;
pub mod sys;
pub mod tracking;
pub mod who;

pub use error::ImageError;
