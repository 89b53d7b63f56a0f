# SPDX-License-Identifier: Apache-2.0
# The one door. `make help` lists what there is. Every target does its own set-up the first time and none after that.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# rustup's place, for those whose shell does not have it on PATH; behind, so that nothing of theirs is overruled.
export PATH := $(PATH):$(HOME)/.cargo/bin

STAMPS := build/stamps
INSTALLED := .venv/observer-installed
BIN := .venv/bin
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -type f)
# The binding crate is a Python extension: it is tested through Python, and not linked into a test program of its own.
CARGO_TEST := cargo test --quiet --locked --workspace --exclude observer-py
WORKERS ?= 2
FUZZ_RUNS ?= 1000000
PYTEST_ARGS ?=
REAL_TIMES ?= 20

.PHONY: replay-faults test-replay corpus load deb test-vm fuzz bench-big crash help demo test check lint format bench golden readme rules setup setup-test clean distclean snapshots

help:  ## list what this Makefile can do
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup  ## record a real program, prove the recording, then break a copy and see it found
	@examples/demo/demo.sh

test: setup-test  ## all tests: Rust, then Python
	$(CARGO_TEST)
	$(BIN)/pytest -q -m serial $(PYTEST_ARGS) || [ $$? -eq 5 ]
	$(BIN)/pytest -m "not serial" -n $(WORKERS) $(PYTEST_ARGS)

check: lint  ## lint, and the tests that need nothing but Python (under three minutes)
	$(BIN)/pytest -q -n $(WORKERS) $(wildcard tests/house tests/unit tests/spec tests/golden tests/property)

lint: setup-test  ## formatting, types, layers, clippy
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@tools/lint_rust.sh

format: setup-test  ## rewrite the sources in the house's format
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .
	cargo fmt

bench: setup-test  ## measure against named peers, in the same run
	@$(BIN)/python -m benchmarks

rules: setup-test  ## recall and false alarms of the risk rules, over all behaviours and real builds and installs; minutes, needs the net
	@$(BIN)/python -m tests.risks.report

bench-big: setup  ## seal and verify a log of 10 GB; says how much memory verifying needed
	@$(BIN)/python -m benchmarks.big_log

readme: setup-test  ## put what `make demo` and `make test` print into README.md
	@$(MAKE) test | tee build/test.log
	@$(BIN)/python -m tools.readme build/test.log

golden: setup  ## rewrite what is generated and compared: public surface, docs/ERRORS.md
	@for tool in tools/gen_*.py; do echo "$$tool"; PYTHONPATH=. $(BIN)/python "$$tool" || exit 1; done

setup: $(INSTALLED)  ## build .venv/ with Observer in it

setup-test: $(STAMPS)/test-packages $(STAMPS)/wasm-rust setup  ## the same, and the programs that tests compare against

$(STAMPS)/build-packages: tools/setup/system.sh tools/setup/rust.sh tools/setup/packages.txt
	@tools/setup/system.sh build $@

$(STAMPS)/test-packages: tools/setup/packages.txt $(STAMPS)/build-packages
	@tools/setup/system.sh test $@

$(STAMPS)/vm-packages: tools/setup/packages.txt $(STAMPS)/test-packages
	@tools/setup/system.sh vm $@

$(STAMPS)/wasm-rust: tools/setup/wasm_rust.sh $(STAMPS)/test-packages
	@tools/setup/wasm_rust.sh $@

# A changed pyproject.toml means new dependencies; a changed Rust source means only a new native core.
$(INSTALLED): pyproject.toml tools/setup/python.sh $(RUST_SOURCES) | $(STAMPS)/build-packages
	@if [ -e $@ ] && [ $@ -nt pyproject.toml ]; then tools/setup/python.sh native; else tools/setup/python.sh install; fi
	@touch $@

fuzz: setup-test  ## fuzz the parsers of hostile bytes, coverage-guided, a million executions each (FUZZ_RUNS); keeps the corpus
	tools/fuzz/run.sh $(FUZZ_RUNS)

crash: setup-test  ## the long crash tests of the sealed log: 3,000 power cuts, 5,000 kills, a million mutants
	OBSERVER_POWER_CUTS=3000 OBSERVER_KILL_STRIDE=1 OBSERVER_MUTANTS=20000 cargo test --quiet --locked --release -p observer-evidence
	OBSERVER_KILLS=5000 $(BIN)/pytest -q tests/unit/evidence/test_kill.py

deb: setup  ## build the Debian package of the agent, build/deb/wsl-monitor_*.deb
	@packaging/deb/build.sh

test-vm: setup-test $(STAMPS)/vm-packages  ## kill real virtual machines in ten ways, and hold each to its verdict (QEMU, about 15 minutes); needs root
	OBSERVER_VM=1 $(BIN)/pytest -q -rs tests/vm

load: setup-test  ## the probe under load: a minute at 500,000 calls a second without a loss, 10,000 cgroups (root)
	OBSERVER_LOAD_S=60 OBSERVER_CGROUPS=10000 $(BIN)/pytest -q tests/kernel -k "half_a_million or very_many"

snapshots: setup-test  ## the long tests of snapshots: 1,000 of two processes that keep an invariant, none torn; 300 killed recorders
	OBSERVER_TORN_SNAPSHOTS=1000 $(BIN)/pytest -q tests/snapshot/test_capture.py -k one_instant
	OBSERVER_SNAPSHOT_KILLS=300 $(BIN)/pytest -q tests/snapshot/test_faults.py -k leaves_no_trace

test-replay: setup-test  ## record and replay real programs, twenty times each, and one recording a hundred times (about 20 minutes)
	OBSERVER_REAL=all OBSERVER_REAL_TIMES=$(REAL_TIMES) $(BIN)/pytest -q -n $(WORKERS) --dist worksteal tests/replay/real
	OBSERVER_REPLAY_RUNS=100 $(BIN)/pytest -q tests/replay/test_proofs.py -k every_time

replay-faults: setup-test  ## kill the recorder of a replayable recording at 200 points, change 1,000 bits of a stream; minutes
	OBSERVER_REPLAY_KILLS=200 OBSERVER_REPLAY_FLIPS=1000 $(BIN)/pytest -q tests/replay/test_faults.py -k "killed or bit"

corpus: setup-test  ## record and replay all our C programs, five times each; prints those that differ
	$(BIN)/python -m tests.replay.corpus -n 5

clean:  ## remove what was built, keep .venv/
	rm -rf build target .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove .venv/ too
	rm -rf .venv
