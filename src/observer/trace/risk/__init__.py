# SPDX-License-Identifier: Apache-2.0
"""The rules by which a trace is judged: one readable TOML file each, named by the rule's id. No code.

`words.toml` says which syscalls and embedders' calls mean the same action. The keys of a rule are described in
docs/guides/risk-rules.md and read by `observer.trace.rules`.
"""

__all__: list[str] = []
