# Everything a newcomer needs: `make demo` shows the whole path, `make test` checks it. Both set up what is missing in
# .venv; system packages that are missing are named, never installed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   ?= outputs/demo
# SIZE=small is the smallest demo that still exercises every step; SIZE=full is what `make demo` shows.
# `make reproduce` knows full, quick and gpu (manifests/miniature*.toml); interrupted, it goes on where it was.
SIZE   ?= full
CASES  ?= 100000
PROCESSES ?= 5000
QUESTIONS ?= 100000

.PHONY: setup demo reproduce test test-fast test-lowest lint format bench fuzz load oracle same-bytes picture clean
.DELETE_ON_ERROR:

setup: $(VENV)/.ready

# torch comes first: any other package that asks for it would bring a CUDA build of several gigabytes.
$(VENV)/.ready: pyproject.toml constraints.txt .ci/system-libraries
	@.ci/system-libraries
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gapmllm needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev,exits]'
	@touch $@

demo: setup
	@$(BIN)/python pipelines/demo.py --size $(SIZE) --out $(DEMO)

reproduce: setup
	@$(BIN)/python pipelines/reproduce.py --size $(SIZE)

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

# All but what is marked slow, such as Ray, browsers and whole commands. A few minutes.
test-fast: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup -m "not slow"

# The same with the lowest versions that pyproject.toml allows, in an environment of its own; it downloads them.
test-lowest:
	PYTHON=$(PYTHON) .ci/test-lowest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m pytest tests/benchmarks --override-ini addopts= -q -s -p no:dash

# CASES damaged files, each of which must be read or refused by name; a quarter of an hour.
fuzz: setup
	$(BIN)/python -m tests.fuzz.campaign --cases $(CASES)

# Three hundred scenes built, verified, reported on and trained from, without growth; several minutes.
load: setup
	SCENES=300 $(BIN)/python -m pytest tests/end_to_end/test_load.py --override-ini addopts= -q -s -p no:dash

# QUESTIONS spatial questions about furnished rooms, each answered anew by a key that shares no module with their
# generator: any disagreement, and any answer that is never given, is an error.
oracle: setup
	$(BIN)/python -m tests.end_to_end.oracle.campaign --questions $(QUESTIONS)

# The same arrays encoded in PROCESSES fresh processes: one digest, or an error; a quarter of an hour.
same-bytes: setup
	$(BIN)/python -m tests.benchmarks.png_processes --processes $(PROCESSES)

picture: setup
	$(BIN)/python -m tests.documents.make_picture

clean:
	rm -rf outputs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
