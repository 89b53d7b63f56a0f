#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""Touches so many MiB of memory, again and again."""

import sys

memory = bytearray(int(sys.argv[1]) << 20)
while True:
    for offset in range(0, len(memory), 4096):
        memory[offset] = 1
