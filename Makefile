PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXAMPLE := docs/astronaut.png

# Made anew whenever what it is made from changes.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

.PHONY: demo test lint clean
demo: $(VENV)/ready
	$(BIN)/swinir-jax restore $(EXAMPLE) --out out --compare

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out

# The README's quality table, from measurements; SETS holds Set5, Set12, McMaster and classic5.
SETS ?= ../shared/data/testsets
.PHONY: benchmark-table
benchmark-table: $(VENV)/ready
	$(BIN)/python benchmarks/quality.py --sets $(SETS)
