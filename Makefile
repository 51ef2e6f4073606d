# `make explore` serves the page, `make test` runs every test, `make docs` builds the documentation. Each does its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODES ?=
DATASET ?=
PORT ?=

.PHONY: explore test docs setup clean lint
.DEFAULT_GOAL := explore

explore: $(VENV)/.ready
	@$(BIN)/sfnet explore $(CODES) $(if $(DATASET),--dataset "$(DATASET)") $(if $(PORT),--port $(PORT))

# The browser's tests run in processes of their own: the browser's driver keeps an event loop running in them. All run in
# two, with one thread each; a file's tests stay together, for they share servers.
test: $(VENV)/.ready-test
	@sh tests/browser/ensure_browser.sh
ifdef PYTEST_ARGS
	$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --ignore=tests/browser --ignore=tests/test_real_galaxies.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/browser tests/test_real_galaxies.py
	$(BIN)/python -m pytest --nbval-lax --nbval-cell-timeout=300 -p no:cacheprovider notebooks
endif

# Every cell of the pages is run anew, pages of modules that are gone go; a warning is an error.
# The site in docs/_build/html needs no server.
docs: $(VENV)/.ready-docs
	@rm -rf docs/_build docs/reference/api/generated
	$(BIN)/python -m sphinx -W --keep-going -E -q -j auto -b html docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html

setup: $(VENV)/.ready

lint: $(VENV)/.ready-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Making $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { echo "This Python can't make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }

$(VENV)/.ready: requirements.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing the packages (once; a minute or more) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.ready-test: requirements-test.txt $(VENV)/.ready
	@echo "Installing what the tests need (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

$(VENV)/.ready-docs: requirements-docs.txt $(VENV)/.ready
	@echo "Installing what the documentation needs (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

clean:
	rm -rf $(VENV)
