# Everything happens in $(VENV): pinned packages, checked by their hashes. docs/setup.md says more.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= pinned
PYTEST_ARGS ?=

BIN := $(VENV)/bin
# Works for a Python that is itself of an environment, which --system-site-packages would look past.
SHARE_PACKAGES = $(PYTHON) -c 'import site; print(*site.getsitepackages(), sep="\n")' \
  >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/machine-packages.pth"
PINS := pyproject.toml constraints/install.py $(wildcard constraints/*.txt)

.DEFAULT_GOAL := help
.PHONY: help run demo env env-test test proofs lint clean pins
.DELETE_ON_ERROR:

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1~\2/p' Makefile | awk -F'~' '{printf "%-18s %s\n", $$1, $$2}'
	@echo
	@echo '  PYTHON=python3.12  the Python to use, 3.11 or newer (now: $(PYTHON))'
	@echo "  TORCH=system       keep this machine's own PyTorch, on a GPU machine say"

run: env ## install, then open Fuente in the browser over the sample documents
	@$(BIN)/fuente serve --samples samples

demo: env ## install, then answer sample questions in the terminal
	@$(BIN)/fuente demo --samples samples

env: $(VENV)/.installed ## install what Fuente needs to run
	@:

env-test: $(VENV)/.installed-test

test: lint ## check style and types, then run every test that takes seconds
	@$(BIN)/fuente models prepare multilingual-e5-small smollm2-135m-instruct
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

proofs: env-test ## run the long proofs of reliability, an hour or so (docs/reliability.md)
	@$(BIN)/python -m pytest -m slow -s $(PYTEST_ARGS)

lint: env-test ## check style, types and which package imports which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

pins: ## write the pins anew after a change of pyproject.toml (needs uv; PINS_ARGS=--upgrade)
	@$(PYTHON) constraints/refresh.py $(PINS_ARGS)

clean: ## remove the environment and the caches of the tools; documents and indexes stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Fuente needs Python 3.11 or newer, and '$(PYTHON)' is not. Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
	  echo "'$(PYTHON)' lacks the module venv. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || { \
	  echo "-- Environment in $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@if [ "$(TORCH)" = system ]; then $(SHARE_PACKAGES); fi
	@$(BIN)/python constraints/install.py product --torch $(TORCH)
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@$(BIN)/python constraints/install.py test --torch $(TORCH)
	@touch $@
