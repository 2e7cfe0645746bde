# make run: see blobs form.  make test: every quick test.  The environment is made when it is missing.
# make check: a loop of seconds while writing; it runs the notebooks that changed, or NB=07 alone.
# make test-all adds the slow tests; those that need a browser (apt install chromium) or a terminal
# (tmux) are skipped where there is none.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: run check test test-notebooks test-python test-all export outputs docs lab clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_WAIT_POLICY := PASSIVE
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# The tutorials and the troubleshooting page train some twenty networks: make test-all runs them
QUICK = --skip_folder_re '^[_.]|^tutorials$$' --skip_file_re '^[_.]|^troubleshooting'
CHANGED = $(shell git diff --name-only --diff-filter=d HEAD -- 'nbs/*.ipynb')
CHECKED = $(if $(NB),$(wildcard nbs/$(NB)*.ipynb nbs/*/$(NB)*.ipynb),$(CHANGED))

run: .venv/installed
	.venv/bin/mftd run quick_3blob

# Exports, cleans, lints, checks types, and runs some notebooks
check: .venv/installed
	.venv/bin/nbdev_export
	.venv/bin/nbdev_clean
	.venv/bin/ruff check .
	.venv/bin/pyright & types=$$!; for nb in $(CHECKED); do .venv/bin/nbdev_test --path $$nb; done; wait $$types

# Notebooks and Python tests side by side: either leaves cores idle by itself
test: .venv/installed export
	$(MAKE) --no-print-directory -j 2 --output-sync=target test-notebooks test-python

test-notebooks:
	.venv/bin/nbdev_test --path nbs --n_workers 2 --timing $(QUICK) 2>&1 | tee .venv/test.log
	! grep -q 'No files were eligible' .venv/test.log

test-python:
	.venv/bin/python -m pytest -q -m 'not slow' --durations 10 tests

test-all: .venv/installed export
	.venv/bin/nbdev_test --path nbs --n_workers 1 --flags slow 2>&1 | tee .venv/test.log
	! grep -q 'No files were eligible' .venv/test.log
	.venv/bin/python -m pytest -q tests

# mftd/ is written from nbs/: exporting must change nothing
export: .venv/installed
	rm -rf .venv/exported; cp -r mftd .venv/exported
	.venv/bin/nbdev_export
	diff -r -x __pycache__ .venv/exported mftd || { echo 'mftd/ was out of step with nbs/. It has just been exported anew: look at the change and commit it.'; exit 1; }

# Run the notebooks in place, so that their stored outputs are current, and make README.md from index.ipynb
outputs: .venv/installed
	.venv/bin/python docs/store_outputs.py
	.venv/bin/nbdev_clean
	.venv/bin/python docs/readme.py

# The site, from the notebooks and their stored outputs: nothing is trained, nothing fetched
docs: .venv/installed export
	.venv/bin/python docs/build.py
	@echo 'open _site/index.html, or: .venv/bin/python -m http.server -d _site'

lab: .venv/installed
	.venv/bin/python -m jupyter lab nbs/index.ipynb

# pyproject.toml is not among these: nbdev_export writes it anew each time
.venv/installed: constraints.txt settings.ini setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "mftd needs Python 3.11 or newer; set PYTHON, e.g. make run PYTHON=/usr/bin/python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -c constraints.txt -e '.[dev]'
	touch .venv/installed

clean:
	rm -rf .venv _proc _docs _site _site_src build *.egg-info
