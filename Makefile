PYTHON ?= python3
RUN := .venv/bin/python

# Every process of the suite multiplies on one thread, and JAX compiles its thousands of small programs, of which
# most run once, quickly instead of well. A JAX that no longer knows the flag says so and stops.
SUITE := OMP_NUM_THREADS=1 JAX_DISABLE_MOST_OPTIMIZATIONS=1 XLA_FLAGS=--xla_cpu_use_fusion_emitters=false

.PHONY: demo test versions bench bench-compare lint docs dist

demo: .venv/ready
	$(RUN) -m arrayfab demo

test: .venv/ready
	$(SUITE) $(RUN) -m pytest -n auto

# The suite on the lowest versions that pyproject.toml allows and on the newest, VERSIONS="lowest-3.11" some of
# them, TESTS="tests/test_roles.py" a piece of it.
versions: build/uv
	VERSIONS="$(VERSIONS)" TESTS="$(TESTS)" $(SUITE) build/uv/bin/python tests/versions.py

build/uv:
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet uv

bench: .venv/ready
	$(RUN) benchmarks/compare.py $(BENCH)

# What has changed since a run that was kept. BENCH=--quick takes a minute, and --only TEXT a piece.
BASELINE ?= benchmarks/results/two-threads.json
bench-compare: .venv/ready
	$(RUN) benchmarks/compare.py --part time --peers none --against $(BASELINE) $(BENCH)

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
