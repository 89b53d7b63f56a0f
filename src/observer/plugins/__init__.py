# SPDX-License-Identifier: Apache-2.0
"""Runs WASI plugins and records all that passes between them and their host; replays them with no host; takes snapshots.

    from observer import plugins

    options = plugins.PluginOptions(arguments=("hello",), mounts=(plugins.Mount.parse("./data::/data"),))
    outcome, plugin = plugins.run_plugin("greeter", code, options, plugins.RecordingPlace())

Recordings are those of docs/spec/recording.md with the additions of docs/spec/plugin-recording.md. The room never decides
policy: `PluginPolicy` does, and is handed in. It needs wasmtime, which the extra `plugins` brings.
"""

from observer.plugins.host import Plugin, RecordingPlace, run_plugin
from observer.plugins.options import Mount, PluginLimits, PluginOptions, PluginOutcome, PluginState
from observer.plugins.policy import Decision, PluginPolicy
from observer.plugins.recording import PluginRecording
from observer.plugins.replay import PluginReplay, ReplayReport
from observer.plugins.snapshot import AnalysisInstance, restore_for_analysis, take_snapshot

__all__ = [
    "AnalysisInstance",
    "Decision",
    "Mount",
    "Plugin",
    "PluginLimits",
    "PluginOptions",
    "PluginOutcome",
    "PluginPolicy",
    "PluginRecording",
    "PluginReplay",
    "PluginState",
    "RecordingPlace",
    "ReplayReport",
    "restore_for_analysis",
    "run_plugin",
    "take_snapshot",
]
