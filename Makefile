# make reports   set up what is needed and make the sample company's pages
# make test      set up what is needed and run the tests
.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TEST := $(VENV)/.ready-test
# The first Python of 3.11 or later that really runs; PYTHON=/path/to/python overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
UV := $(shell command -v uv 2>/dev/null)
SLOW ?= not slow

ifdef UV
INSTALL = UV_COMPILE_BYTECODE=1 VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv pip install --quiet
MAKE_VENV = uv venv --quiet --python "$(PYTHON)" $(VENV)
else
# An environment that uv made has no pip of its own.
INSTALL = { $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; } && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check
MAKE_VENV = $(PYTHON) -m venv $(VENV)
endif

.PHONY: help setup reports test lint lab messages benchmarks lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 15

setup: $(READY)  ## set up what is needed, and nothing else

reports: $(READY)  ## make the sample company's pages; ends with the path of their index
	$(BIN)/salesops report params/monthly.yml

test: $(READY_TEST)  ## run the tests (SLOW="slow or not slow" runs the slow ones too)
	$(BIN)/python -m pytest -q -n 2 -m "$(SLOW)"

lint: $(READY_TEST)  ## check style with ruff
	$(BIN)/ruff check lib tests notebooks benchmarks recipes
	$(BIN)/ruff format --check lib tests benchmarks recipes

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=. notebooks

messages: $(READY)  ## collect the playbook's sentences for translation
	$(BIN)/python -m salesops.messages

benchmarks: $(READY_TEST)  ## measure again how fast pages are made, into benchmarks/README.md
	$(BIN)/python benchmarks/runner.py

lock:  ## renew the lock files after a change of pyproject.toml (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --extra test -c requirements.lock pyproject.toml -o requirements-test.lock

clean:  ## remove the environment, prepared books and generated pages; records/ and what is not ours stay
	@PYTHONPATH=lib $(PYTHON) -m salesops.clean
	@if [ -f $(READY) ] || [ -f $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi

$(VENV)/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "SalesOps Playbook needs Python 3.11 or later; none was found"; exit 1; }
	rm -rf $(VENV)
	$(MAKE_VENV)

$(READY): $(VENV)/pyvenv.cfg requirements.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(READY_TEST): $(READY) requirements-test.lock
	$(INSTALL) --require-hashes -r requirements-test.lock
	touch $@
