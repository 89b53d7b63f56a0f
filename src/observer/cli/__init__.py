# SPDX-License-Identifier: Apache-2.0
"""The command line: `observer VERB …`. Data goes to stdout, talk to stderr.

Nothing is decided here that a library call could not decide.
"""
