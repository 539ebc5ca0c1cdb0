PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXAMPLE := docs/astronaut.png

# The newest tested Python on the PATH or in pyenv; `make test` runs on $(PYTHON).
NEWEST ?= $(firstword $(shell for version in 3.13 3.12; do \
	for python in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python$$version; do \
	$$python -c "" 2> /dev/null && command -v $$python; done; done))

# What `test-newest` needs, in an environment of its own.
OF_NEWEST = VENV=.venv-newest PYTHON=$(NEWEST) EXTRAS=train,formats,perceptual,test

# Python compiles what it imports; pip would compile all that is installed.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

NEEDS_PYTHON := 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'

EXTRAS ?= dev

# Rebuilt when one of these files changes.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c $(NEEDS_PYTHON)
	@echo "Installing the package with the extras $(EXTRAS) into $(VENV), up to 2.1 GB; takes minutes:"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

# PyTorch, to compare with; without it, the tests that need it are skipped.
$(VENV)/torch-ready: $(VENV)/ready
	@echo "Installing PyTorch into $(VENV); takes minutes:"
	$(PIP) torch==2.13.0
	$(PIP) --no-deps spandrel==0.4.2 torchvision==0.28.0 einops
	touch $@

# Tests that a new Python or JAX breaks first: transformations, files, weights, configs.
FAST := $(addprefix tests/, models/test_transformations.py models/test_windows.py models/test_attention.py checkpoints \
	test_config.py test_configs.py)

# The tests of a file share what its fixtures made and what was compiled for them.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo site npm test test-fast test-newest test-torch test-ray test-web newest lint docs dist clean
# The package alone, in an environment of its own; then the example, and the line to type next.
DEMO := .venv-demo
demo: $(DEMO)/ready
	@echo "Restoring $(EXAMPLE), twice as large; the first time, the network is compiled:"
	$(DEMO)/bin/swinir-jax restore $(EXAMPLE) --for clean --out out --compare
	@echo "The result is out/astronaut.png; out/compare/astronaut.png shows it beside the picture before."
	@echo "In each new terminal, first:"
	@echo "  . '$(CURDIR)/$(DEMO)/bin/activate'"
	@echo "Then a photograph of your own, which goes into restored/:"
	@echo "  swinir-jax restore PHOTO.jpg"
	@echo "Or a page in the browser, which needs one package more:"
	@echo "  pip install aiohttp"
	@echo "  swinir-jax app"

$(DEMO)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c $(NEEDS_PYTHON)
	@echo "Installing swinir-jax and what it needs into $(DEMO), about 800 MB; takes a minute or two:"
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --disable-pip-version-check --no-compile --constraint constraints.txt --editable .
	@touch $@

# Twice, because most programs may compile in a tenth of the time and some have to be those of a user.
test: $(VENV)/ready
	$(PYTEST) -m as_shipped $(shell grep -rl as_shipped --include="test_*.py" tests)
	$(PYTEST) -m "not as_shipped and not browser and not ray"

test-fast: $(VENV)/ready
	$(PYTEST) -m as_shipped $(FAST)
	$(PYTEST) -m "not as_shipped" $(FAST)

# The page in a real browser: Playwright from PyPI drives Debian's Chromium.
BROWSER := /usr/bin/chromium
$(BROWSER):
	@test $$(id -u) = 0 || { echo "$(BROWSER) is missing: sudo apt-get install chromium"; exit 1; }
	apt-get update -q && apt-get install -qq --no-install-recommends chromium

# npm packs ONNX Runtime for the browser; the site is good for any host of static files.
npm:
	@command -v npm > /dev/null || test $$(id -u) = 0 || { echo "npm is missing: sudo apt-get install npm"; exit 1; }
	@command -v npm > /dev/null || { apt-get update -q && apt-get install -qq --no-install-recommends npm; }

site: $(VENV)/ready | npm
	rm -rf site
	$(BIN)/swinir-jax site --out site

test-web: $(VENV)/ready | $(BROWSER) npm
	$(BIN)/python -m pytest tests/web -m browser

# The example for clusters on a local Ray, with workers that are killed.
test-ray: $(VENV)/ready
	$(BIN)/python -m pytest tests/examples/test_ray.py -m ray

test-newest:
	$(if $(NEWEST),$(MAKE) $(OF_NEWEST) test-fast,@echo "No newer Python is found to test with.")

# The environment of `test-newest`.
newest:
	$(if $(NEWEST),$(MAKE) $(OF_NEWEST) .venv-newest/ready)

test-torch: $(VENV)/torch-ready
	$(BIN)/python -m pytest tests/test_pytorch.py

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The wheel and the source distribution, as an index of packages takes them.
dist: $(VENV)/ready
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python -m twine check --strict dist/*

# In the environment of the tests if there is one, else in a smaller one of its own.
DOCS_VENV := $(if $(wildcard $(VENV)/ready),$(VENV),.venv-docs)
docs: $(DOCS_VENV)/ready
	rm -rf docs/generated
	$(DOCS_VENV)/bin/python -m sphinx -W --keep-going -q docs docs/_build

.venv-docs/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c $(NEEDS_PYTHON)
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[docs,train]'
	touch $@

clean:
	rm -rf $(VENV) .venv-newest .venv-docs $(DEMO) dist out site docs/_build docs/generated

# Measures the quality table of docs/benchmarks.md.
.PHONY: benchmark-table
benchmark-table: $(VENV)/ready
	@test "$(SETS)" || { echo "SETS=FOLDER is needed, a folder of Set5, Set12, McMaster and classic5"; exit 1; }
	$(BIN)/python benchmarks/quality.py --sets $(SETS)

# Eight minutes of an accelerator: `make carry` where packages can be fetched, then, with the folder, `make
# train-accelerator` there, on the JAX that $(PYTHON) has.
OUT ?= out/accelerator
.PHONY: train-accelerator
carry: $(VENV)/ready
	@test "$(PHOTOGRAPHS)" || { echo "PHOTOGRAPHS=FOLDER is needed, a folder of photographs to train on"; exit 1; }
	$(BIN)/python benchmarks/pack_training.py --photographs $(PHOTOGRAPHS) --out $@

TRAIN := PYTHONPATH=.:out/packages $(PYTHON) benchmarks/train_photographs.py --photographs carry/photographs --weights carry/weights
train-accelerator:
	$(PYTHON) -m zipfile -e carry/packages.zip out/packages
	$(TRAIN) --out $(OUT) --rehearse
	$(TRAIN) --out $(OUT)
