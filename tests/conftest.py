# SPDX-License-Identifier: Apache-2.0
"""What every test may rely on, however the run was started."""

from __future__ import annotations

import signal

# A run in the background, under nohup or in some CI systems is started with these ignored, and every program that a test
# starts would inherit that: a test that interrupts one would then wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
