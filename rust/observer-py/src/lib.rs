// SPDX-License-Identifier: Apache-2.0
//! The only crate that knows Python: binds the pure crates to `observer._native`.
use pyo3::prelude::*;

mod compare;
mod errors;
mod evidence;
mod export;
mod model;
mod notes;
mod plugin_clock;
mod probe;
mod recording;
mod recording_errors;
mod replay;
mod report;
mod snapshot;
mod snapshot_errors;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::check(module.py())?;
    compare::register(module)?;
    evidence::register(module)?;
    export::register(module)?;
    model::register(module)?;
    notes::register(module)?;
    probe::register(module)?;
    plugin_clock::register(module)?;
    recording::register(module)?;
    report::register(module)?;
    replay::register(module)?;
    snapshot::register(module)?;
    Ok(())
}
