# Everything runs in .venv, which the first target to need it creates.
PYTHON ?= python3
VENV := .venv
FOLDER := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(FOLDER)
PIP := python -m pip install --disable-pip-version-check
STAMP := $(VENV)/.stamp
DOCS_STAMP := $(VENV)/.stamp-docs
RELEASE_STAMP := $(VENV)/.stamp-release

DATA ?= digits

# Each worker takes a half of the tests in their order, and then from the other's: what the tests of
# a file share is made once, and most processes that they start serve several of them.
WORKERS := -n 2 --dist worksteal

.DEFAULT_GOAL := test
.PHONY: demo lint format test test-all test-lowest test-newest bench docs dist test-dist

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) -c constraints.txt -e ".[dev]"
	touch $@

# DATA=digits (two minutes) or DATA=mnist (full MNIST, a quarter of an hour)
demo: $(STAMP)
	$(BIN)/python examples/demo.py $(if $(DATA),--data $(DATA))

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python docs/check_docstrings.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One thread a worker: two workers with two threads each only get in each other's way.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS)

test-all: lint
	OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=search $(BIN)/python -m pytest $(WORKERS) -m ""

# The oldest releases that pyproject.toml allows, whose numbers stand in constraints-lowest.txt. What
# they say of newer releases of one another is no error.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/$(FOLDER)/$(PIP) -c constraints-lowest.txt -e ".[dev]"
	OMP_NUM_THREADS=1 .venv-lowest/$(FOLDER)/python -m pytest $(WORKERS) -W ignore::DeprecationWarning

# The newest releases there are; PRE=--pre takes what is not released yet too.
test-newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/$(FOLDER)/$(PIP) --upgrade --upgrade-strategy eager $(PRE) -e ".[dev]"
	OMP_NUM_THREADS=1 .venv-newest/$(FOLDER)/python -m pytest $(WORKERS)

bench: $(STAMP)
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

$(DOCS_STAMP): $(STAMP)
	$(BIN)/$(PIP) -c constraints.txt -e ".[docs]"
	touch $@

# docs/_build/html/index.html; every script of docs/gallery runs, and a warning is an error.
docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html

$(RELEASE_STAMP): $(STAMP)
	$(BIN)/$(PIP) -c constraints.txt -e ".[release]"
	touch $@

# The wheel and the source distribution, and whether an index page can show them.
dist: $(RELEASE_STAMP)
	$(BIN)/python -c "import shutil; [shutil.rmtree(f, True) for f in ('build', 'dist')]"
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

# The tests of the unpacked source distribution, against the wheel in an environment of its own.
test-dist: dist
	mkdir -p build/sdist
	tar -xzf dist/*.tar.gz -C build/sdist --strip-components 1
	$(PYTHON) -m venv --clear build/venv
	wheel=$$(echo dist/*.whl) && build/venv/$(FOLDER)/$(PIP) -c constraints.txt "$$wheel[dev]"
	cd build/sdist && OMP_NUM_THREADS=1 ../venv/$(FOLDER)/pytest $(WORKERS)
