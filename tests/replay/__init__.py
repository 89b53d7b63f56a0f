# SPDX-License-Identifier: Apache-2.0
"""Record for replay, replay, compare: programs of our own, one for each behaviour, and real ones."""
