// SPDX-License-Identifier: Apache-2.0
//! The syscall table as JSON, for programs that show or check it.

use crate::syscall::{all, Arch, Syscall};
use serde_json::{json, Value};

/// Every call of an architecture, by number: `{"nr", "name", "args": [{"name", "kind"}], "classes", "decoded"}`.
#[must_use]
pub fn listing(arch: Arch) -> Value {
    Value::Array(all(arch).map(row).collect())
}

fn row(call: &Syscall) -> Value {
    let args: Vec<Value> = call.args.iter().map(|arg| json!({"name": arg.name, "kind": arg.ty.kind()})).collect();
    let classes: Vec<&str> = call.classes.names().collect();
    json!({
        "nr": call.nr,
        "name": call.name,
        "args": args,
        "classes": classes,
        "decoded": call.depth.name(),
    })
}
