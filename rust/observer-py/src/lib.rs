// SPDX-License-Identifier: Apache-2.0
//! The only crate that knows Python: binds the pure crates to `observer._native`.
use pyo3::prelude::*;

#[pymodule]
fn _native(_m: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
