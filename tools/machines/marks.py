#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""Sends a numbered line to syslog ten times a second, and its number to the second serial port, which outlives the machine."""

import syslog
import time
from pathlib import Path

syslog.openlog("marks")
with Path("/dev/ttyS1").open("wb", buffering=0) as port:
    number = 0
    while True:
        number += 1
        syslog.syslog(syslog.LOG_INFO, f"mark {number}")
        port.write(b"@@MARK %d\n" % number)
        time.sleep(0.1)
