# make serve: installs what serving needs (no torch) into .venv and serves models/ on 127.0.0.1:8000.
# make test:  installs the rest into the same .venv and runs everything that CI runs.
# A stamp in .venv records each installation, so that pip runs again only after pyproject.toml has changed.

PYTHONS = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: serve test

serve: .venv/serve.installed
	.venv/bin/nelbo serve

test: .venv/test.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile

.venv/test.installed: .venv/serve.installed
	$(PIP_INSTALL) --editable '.[cpu,training,dev]'
	@touch $@

.venv/serve.installed: pyproject.toml .venv/bin/python
	$(PIP_INSTALL) --editable '.[cpu]'
	@touch $@

.venv/bin/python:
	@for python in $(PYTHONS); do \
	  $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  exec $$python -m venv --clear .venv; \
	done; \
	echo "nelbo needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv)." >&2; \
	echo "None of these is one: $(PYTHONS). Another can be named: make PYTHON=/path/to/python" >&2; \
	exit 1
