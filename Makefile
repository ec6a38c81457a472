.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo

# Every process would compile torch and Ray from their sources anew where the environment says so.
unexport PYTHONDONTWRITEBYTECODE

EXTRAS := train,segment,crawl,download,dedup,embed,browse,examples

.PHONY: help install demo test test-slow fuzz bench bench-gpu lint fix unicode kernels clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(BIN)/curate: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

$(VENV)/.test-extras: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[$(EXTRAS),test,lint]'
	# Without its dependencies: PyPI has no torchvision for torch's CPU build.
	$(BIN)/pip install -q --no-compile --no-deps -c constraints.txt open_clip_torch ftfy wcwidth
	$(BIN)/pip install -q --no-compile --no-deps --upgrade --target $(VENV)/torchvision -c constraints.txt torchvision
	$(BIN)/pip install -q --no-compile --no-deps --upgrade --target $(VENV)/clip_benchmark -c constraints.txt clip-benchmark narwhals scikit-learn scipy threadpoolctl
	touch $(BIN)/curate $@

install: $(BIN)/curate ## Create .venv if it is missing and install the package into it

demo: $(BIN)/curate ## Run the main job on a generated toy web, offline, in a few minutes
	$(BIN)/python examples/demo.py $(DEMO)

test: $(VENV)/.test-extras ## Run the test suite: a few minutes on two cores, no network
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu"

test-slow: $(VENV)/.test-extras ## Run the long tests: kill loops and models trained on real data
	# Three workers on two cores: these tests wait for processes, and for what was killed to be gone.
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m slow

fuzz: $(VENV)/.test-extras ## Read damaged files of every kind, for a minute in all; FILES=20000 for so many of each
	$(BIN)/python -m tests.fuzz.readers $(if $(FILES),--files $(FILES) --seconds 3600,--seconds 2) --first $${FIRST:-0}

bench: $(VENV)/.test-extras ## Time matching, LID, stages and commands; AGAINST=REV: beside another revision, by turns
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[bench]'
	$(BIN)/python -m examples.bench $(if $(AGAINST),--against $(AGAINST))

bench-gpu: $(VENV)/.test-extras ## Time training steps on a GPU, beside open_clip if it is installed
	$(BIN)/python -m examples.bench.training.gpu

lint: $(VENV)/.test-extras ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2

fix: $(VENV)/.test-extras ## Mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unicode: $(VENV)/.test-extras ## Make the character table anew (changes which pairs match!)
	$(BIN)/python tests/curation/make_unicode_ranges.py

kernels: $(VENV)/.test-extras ## Make the shipped machine code anew, after a kernel was changed (needs ld and aarch64-linux-gnu-ld)
	$(BIN)/python -m tests.make_kernels

clean: ## Remove the demo's output
	rm -rf $(DEMO)
