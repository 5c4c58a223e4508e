# make serve: installs what serving needs (no torch) into .venv and serves models/ on 127.0.0.1:8000.
# make test:  installs the rest into the same .venv and runs everything that CI runs.
# make soak:  load, faults and restarts, which take a clock or a rate to see; on a machine that does nothing else, forty minutes.
# KServe's client pins old dependencies and is tested from an environment of its own, .venv-kserve.
# A stamp in an environment records each installation, so that pip runs again only after pyproject.toml has changed
# (for KServe's, this file).

# The two environments are installed side by side.
MAKEFLAGS += --jobs=2
PYTHONS = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check
KSERVE = 0.21.0

.PHONY: serve soak test

serve: .venv/serve.installed
	.venv/bin/nelbo serve

test: .venv/test.installed .venv-kserve/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

soak: .venv/test.installed
	@$(PIP_INSTALL) --editable '.[soak]' || echo "atheris has no wheel for this Python: the fuzzing is not run." >&2
	.venv/bin/python -m benchmarks.soak

.venv/test.installed: .venv/serve.installed
	$(PIP_INSTALL) --editable '.[cpu,training,dev]'
	@touch $@

.venv/serve.installed: pyproject.toml .venv/bin/python
	$(PIP_INSTALL) --editable '.[cpu]'
	@touch $@

.venv-kserve/installed: Makefile .venv/bin/python
	@if .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 14))'; then \
	  echo "kserve $(KSERVE) is not for Python 3.14: its client is not tested." >&2; \
	else \
	  .venv/bin/python -m venv --clear .venv-kserve && \
	  .venv-kserve/bin/python -m pip install --quiet --disable-pip-version-check --no-compile kserve==$(KSERVE) && \
	  touch $@; \
	fi

.venv/bin/python:
	@for python in $(PYTHONS); do \
	  $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  exec $$python -m venv --clear .venv; \
	done; \
	echo "nelbo needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv)." >&2; \
	echo "None of these is one: $(PYTHONS). Another can be named: make PYTHON=/path/to/python" >&2; \
	exit 1
