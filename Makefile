PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: demo test bench lint docs dist

demo: .venv/ready
	$(RUN) -m arrayfab demo

test: .venv/ready
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto

bench: .venv/ready
	$(RUN) benchmarks/compare.py $(BENCH)

docs: .venv/ready
	$(RUN) -m sphinx --nitpicky --fail-on-warning --keep-going --quiet docs docs/_build/html

lint: .venv/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

dist: .venv/ready
	rm -rf dist build
	$(RUN) -m build
	$(PYTHON) -m venv build/empty
	build/empty/bin/pip install --quiet "$$(ls dist/*.whl)[testing]"
	cd build && empty/bin/python -P ../tests/installed.py

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --editable ".[dev]"
	touch .venv/ready
