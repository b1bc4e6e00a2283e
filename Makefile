# Every target makes the virtual environment it needs.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
SHARD ?= 1/1

.PHONY: demo test validate bench lint clean

demo: $(STAMP)
	$(VENV)/bin/bayescal demo --output demo-output

# Tests compile much and compute little: the compiler takes less effort, and does without its slowest part
test: $(STAMP)
	XLA_FLAGS="$(XLA_FLAGS) --xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false" $(VENV)/bin/pytest -m "not validate" --numprocesses auto --dist loadfile --no-loadscope-reorder

# Statistical tests too slow for every day. A part of the work: make validate SHARD=1/4; its replicas are kept in validation-output
validate: $(STAMP)
	$(VENV)/bin/pytest -m validate --shard $(SHARD)

bench: $(STAMP)
	$(VENV)/bin/python benchmarks/charge.py

lint: $(STAMP)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/pyright

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bayescal needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e ".[test,dev]"
	touch $@

clean:
	rm -rf $(VENV) demo-output validation-output dist build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
