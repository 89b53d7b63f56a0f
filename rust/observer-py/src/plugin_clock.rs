// SPDX-License-Identifier: Apache-2.0
//! The clock of the plugin recorder: a host function in the form that wasmtime's C API calls without conversions, since a
//! Python function would cost two hundred times what it measures. Source: wasmtime/func.h, `wasmtime_func_unchecked_callback_t`.

use pyo3::prelude::*;
use std::ffi::c_void;

/// Writes CLOCK_MONOTONIC in ns as the only result; never traps.
extern "C" fn read_clock(_env: *mut c_void, _caller: *mut c_void, results: *mut u64, count: usize) -> *mut c_void {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec for the call to fill; source clock_gettime(2).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let ns = (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64);
    if !results.is_null() && count > 0 {
        // SAFETY: wasmtime hands `count` values of 16 bytes, aligned to 8, and the function type has one i64 result.
        unsafe { results.write(ns) };
    }
    std::ptr::null_mut()
}

/// Address of the clock function, for `wasmtime_func_new_unchecked` with type `() -> i64`.
#[pyfunction]
fn plugin_clock_address() -> usize {
    read_clock as *const () as usize
}

/// Adds this room to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(plugin_clock_address, module)?)
}
