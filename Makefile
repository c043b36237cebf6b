# Two commands for a new clone: `make demo` and `make test`. Both set themselves up in .venv.
#
# PYTHON       the interpreter for .venv: 3.11 or newer, because constraints.txt pins exact versions
# TORCH_INDEX  optional package index with the torch build you want, e.g. a CPU build:
#              make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# JOBS         parallel test processes
# BENCH        what `make bench` times: a file of tests/benchmarks, all of them unless told
# ARGS         extra arguments: make demo ARGS="seed=1", make test ARGS="-k solver"

PYTHON ?= python3
TORCH_INDEX ?=
JOBS ?= $(shell n=$$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2); [ $$n -gt 8 ] && echo 8 || echo $$n)
BENCH ?= tests/benchmarks
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed
TORCH := $(shell grep '^torch==' constraints.txt)
# One thread per process: the processes are what runs in parallel.
ONE_THREAD := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
CODE := envs agents training conf tests

.PHONY: help setup demo test test-slow test-gpu check format typecheck bench clean
.DEFAULT_GOAL := help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## create .venv with the pinned versions (the other targets do it themselves)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("the pinned versions need Python 3.11 or newer; got " + sys.version.split()[0] + " (choose another with make PYTHON=...)" if sys.version_info < (3, 11) else 0)'
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	$(BIN)/python -m pip install -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP)  ## train both arms from scratch in at most 15 minutes and write a report
	$(ONE_THREAD) $(BIN)/cardinal demo $(ARGS)

test: $(STAMP)  ## the default tests: offline, on a CPU
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

test-slow: $(STAMP)  ## the tests that take minutes
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) -m "slow and not gpu" $(ARGS)

test-gpu: $(STAMP)  ## the tests that need an accelerator
	$(BIN)/python -m pytest -m gpu $(ARGS)

check: $(STAMP) typecheck  ## lint, format and types of what ships
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(STAMP)  ## apply what check asks for, where a tool can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

# The package exists under its import name only once installed; links give mypy the same view.
typecheck: $(STAMP)  ## mypy on cardinal_gym
	@mkdir -p build/typecheck/cardinal_gym
	@for part in envs agents training conf; do ln -sfn ../../../$$part build/typecheck/cardinal_gym/$$part; done
	$(BIN)/mypy

bench: $(STAMP)  ## what a reset, a step, a picture and a token cost on one core
	$(ONE_THREAD) $(BIN)/python -m pytest -p no:xdist -o python_files='bench_*.py' -o timeout=0 -m "" -s -q -rs $(BENCH) $(ARGS)

clean:  ## remove what was generated, except .venv and runs/
	rm -rf build dist cardinal_gym.egg-info .pytest_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
