# Two commands for a fresh machine with Python 3.11 (or newer) and make:
#
#   make demo    the main job: real tables, known baselines, a table of results and a picture in demo/
#   make test    the whole test suite, doctests included
#
# Both build .venv first and install only there; nothing of the caller's Python environment is used.
# What each one runs, for a machine without make, stands in README.md.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt -e

unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PYTHONNOUSERSITE = 1
# Small matrices: one thread per process is faster than two that wait for each other.
test docs: export OMP_NUM_THREADS = 1

.DELETE_ON_ERROR:
.PHONY: help demo test env lint types docs clean

help:
	@sed -n 's/^#   make/make/p' Makefile

demo: $(VENV)/installed-demo
	$(BIN)/python benchmarks/bench_tabular.py --demo

test: env
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# The environment of `make test`, which also builds the documentation and checks style and types.
env: $(VENV)/installed-test

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/mypy

docs: env
	$(BIN)/python -m sphinx -W --keep-going -j 1 -b html docs docs/_build/html

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("sklearn_selfattn needs Python 3.11 or newer; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV) (a minute or two, PyTorch is large) ..."
	$(INSTALL) ".[plot]"
	@touch $@

$(VENV)/installed-test: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV) (a minute or two, PyTorch is large) ..."
	$(INSTALL) ".[test,docs]"
	@touch $@

clean:
	rm -rf $(VENV) demo docs/_build docs/gallery docs/generated .pytest_cache .mypy_cache .ruff_cache
