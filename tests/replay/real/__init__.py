# SPDX-License-Identifier: Apache-2.0
"""Real programs, recorded and replayed: `make test-replay` does each twenty times, `make test` the quick ones once."""
