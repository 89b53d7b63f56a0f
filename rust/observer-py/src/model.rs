// SPDX-License-Identifier: Apache-2.0
//! The syscall table and the names of errors and signals for Python.

use crate::errors::Raise;
use observer_model::{errno_message, errno_name, signal_name, Arch};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Add this room's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(syscall_table, module)?)?;
    module.add_function(wrap_pyfunction!(error_name, module)?)?;
    module.add_function(wrap_pyfunction!(signal_label, module)?)
}

/// Every call of an architecture (as `uname -m` names it) as a JSON array.
#[pyfunction]
fn syscall_table<'py>(py: Python<'py>, arch: &str) -> PyResult<Bound<'py, PyBytes>> {
    let Some(known) = Arch::from_name(arch) else {
        let message = format!("no syscall table for architecture {arch:?}; there are x86_64 and aarch64");
        return Err(Raise::new("UsageError", message).into_err(py));
    };
    Ok(PyBytes::new(py, observer_model::listing::listing(known).to_string().as_bytes()))
}

/// Name and message of an error number, or None.
#[pyfunction]
fn error_name(number: u16) -> Option<(&'static str, &'static str)> {
    Some((errno_name(number)?, errno_message(number)?))
}

/// Name of a signal number, or None.
#[pyfunction]
fn signal_label(number: u32) -> Option<String> {
    signal_name(number)
}
