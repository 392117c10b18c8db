# Everything a user or a developer runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
AF3 := .venv
AF2 := .venv-af2
BENCH := .venv-bench
BENCH_FS := .venv-bench-fs
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport AIRFLOW_HOME  # tests and demo create their own Airflow homes
unexport PYTHONDONTWRITEBYTECODE  # each process that the tests start would compile all modules again

.PHONY: help set-up demo demo-scale test test-matrix fast check format format-check lint types docs package simulate fuzz bench bench-quick pins clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

# An environment is created again when its pins change.
$(AF3)/ready: .ci/airflow-3.3.txt pyproject.toml
	@echo "Setting up $(AF3) with Airflow 3.3 (a minute or two)"
	@$(PYTHON) -m venv --clear $(AF3)
	@$(AF3)/bin/python -m pip install --quiet --requirement .ci/airflow-3.3.txt 2> >(grep -v '^WARNING: Location' >&2)
	@$(AF3)/bin/python -m pip install --quiet --no-deps --editable . 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@

$(AF2)/ready: .ci/airflow-2.11.txt pyproject.toml
	@echo "Setting up $(AF2) with Airflow 2.11 (a minute or two)"
	@$(PYTHON) -m venv --clear $(AF2)
	@$(AF2)/bin/python -m pip install --quiet --requirement .ci/airflow-2.11.txt 2> >(grep -v '^WARNING: Location' >&2)
	@$(AF2)/bin/python -m pip install --quiet --no-deps --editable . 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@

$(BENCH)/ready: .ci/bench.txt
	@echo "Setting up $(BENCH) with the other clients of the benchmark"
	@$(PYTHON) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --requirement .ci/bench.txt 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@

# ossfs and s3fs need other releases of oss2 and botocore than the benchmark above.
$(BENCH_FS)/ready: .ci/bench-filesystems.txt
	@echo "Setting up $(BENCH_FS) with the filesystems of the benchmark"
	@$(PYTHON) -m venv --clear $(BENCH_FS)
	@$(BENCH_FS)/bin/python -m pip install --quiet --requirement .ci/bench-filesystems.txt 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@

tests/conformance/node_modules/ready: tests/conformance/package-lock.json
	@echo "Installing the npm client ali-oss"
	@cd tests/conformance && npm ci --silent --no-audit --no-fund
	@touch $@

demo: $(AF3)/ready  ## kill a task that uploads, then one that downloads, and watch both resume
	@$(AF3)/bin/python -m tests.end_to_end.demo

demo-scale: $(AF3)/ready  ## kill one of the Celery workers that move 20,000 files and one of 2 GiB, and watch the retries send the rest
	@$(AF3)/bin/python -m tests.end_to_end.demo_scale

# The end-to-end tests mostly wait for Airflow, so all others run at the same time, with a lower priority (nice). The tests of
# a file run in one process. Folders with long files come first, so that no long file runs alone at the end. pytest collects
# each test once, although `tests` contains these folders too.
SPREAD := --dist loadfile --no-loadscope-reorder
END_TO_END := tests/end_to_end
LONGEST_FIRST := tests/simulation tests/docs tests/airflow tests/properties tests/faults tests/conformance
ON_AIRFLOW_3 := --ignore=$(END_TO_END) $(LONGEST_FIRST) tests
ON_AIRFLOW_2 := tests/airflow tests/installed tests/docs/test_example_dags.py tests/unit

test: set-up  ## run every test, on Airflow 3.3 and on 2.11
	@.ci/in-memory .ci/beside \
	  "Airflow 3.3" "nice .ci/pytest-twice $(AF3)/bin/python '-n 4 $(SPREAD) --cov --cov-report=term' $(ON_AIRFLOW_3)" \
	  "Airflow 2.11" "nice .ci/pytest-twice $(AF2)/bin/python '' --once-on-both $(ON_AIRFLOW_2)" \
	  "End to end on Airflow 3.3" ".ci/pytest-twice $(AF3)/bin/python '' $(END_TO_END)" \
	  "End to end on Airflow 2.11" ".ci/pytest-twice $(AF2)/bin/python '' $(END_TO_END)"

MATRIX ?=

test-matrix: package  ## install wheel and sdist with each Airflow and Python, and use them; MATRIX="--all --suites"
	$(AF3)/bin/python -m pip install --quiet uv
	$(AF3)/bin/uvx --quiet twine check --strict dist/*
	$(AF3)/bin/python -m tests.matrix $(MATRIX)

fast: $(AF3)/ready  ## run the tests that need no Airflow, except the slow ones, in under a minute
	.ci/in-memory $(AF3)/bin/python -m pytest -n 4 --dist worksteal -m "not slow" tests/properties tests/unit

set-up: $(AF3)/ready $(AF2)/ready tests/conformance/node_modules/ready  ## create the two environments for the tests, and install an npm client

check: format-check lint types docs package test  ## run everything that CI runs

format: $(AF3)/ready  ## format the code
	$(AF3)/bin/ruff format .
	$(AF3)/bin/ruff check --fix .

format-check: $(AF3)/ready
	$(AF3)/bin/ruff format --check .

lint: $(AF3)/ready  ## find mistakes, and imports that break the layers
	$(AF3)/bin/ruff check .
	$(AF3)/bin/lint-imports

types: $(AF3)/ready  ## check the types
	$(AF3)/bin/mypy

docs: $(AF3)/ready  ## build the documentation from scratch; a warning is an error
	$(AF3)/bin/sphinx-build -E -W --keep-going -q -b html docs docs/_build/html

# Built from scratch, because files that an earlier build left would be packed too.
package: $(AF3)/ready  ## build wheel and sdist, and import the wheel from a separate folder
	rm -rf dist build
	$(AF3)/bin/python -m build --outdir dist . > /dev/null
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
	  && $(AF3)/bin/python -m pip install --quiet --no-deps --target "$$folder" dist/*.whl \
	  && cd "$$folder" && PYTHONPATH="$$folder" $(CURDIR)/$(AF3)/bin/python $(CURDIR)/.ci/package_check.py "$$folder"

SEEDS ?= 10000

simulate: $(AF3)/ready  ## run the engine with SEEDS seeds of simulated faults; SEED=k replays one
	$(AF3)/bin/python -m tests.simulation --seeds $(SEEDS) $(if $(SEED),--seed $(SEED))

SECONDS_EACH ?= 120
TARGETS ?= checkpoint xml url headers connection server-request

fuzz: $(AF3)/ready  ## give random bytes to each parser in TARGETS, for SECONDS_EACH seconds each
	for target in $(TARGETS); do $(AF3)/bin/python -m tests.fuzz $$target --seconds $(SECONDS_EACH); done

# The two environments with Airflow are for measuring import times.
bench: $(BENCH)/ready $(BENCH_FS)/ready $(AF3)/ready $(AF2)/ready  ## compare the speed with every other client, and check the limits, in up to an hour
	$(BENCH)/bin/python -m tests.bench
	$(AF3)/bin/python -m tests.bench.copies
	$(AF3)/bin/python -m tests.bench.plans
	$(BENCH_FS)/bin/python -m tests.bench.filesystems

bench-quick: $(BENCH)/ready $(AF3)/ready $(AF2)/ready  ## compare the speed with the main clients, in two minutes
	$(BENCH)/bin/python -m tests.bench --quick

# The pins are valid for Python 3.10 to 3.13, those of Airflow 3.4 for 3.11 and later. uv resolves them, because it takes only
# seconds; pip installs them. An Airflow that is no longer maintained gets the libraries of its own time, because it breaks with
# later ones. Only fastcrc, which this package needs, is newer.
pins: $(AF3)/ready  ## resolve the pinned environments again
	$(AF3)/bin/python -m pip install --quiet uv
	compile() { \
	  $(AF3)/bin/uv pip compile --quiet --universal --python-version $${3:-3.10} --no-header --no-annotate \
	    .ci/$$1.in --output-file .ci/$$1.txt $${2:+--exclude-newer $$2 --exclude-newer-package fastcrc=2026-10-01}; \
	}; \
	compile airflow-3.3; compile airflow-2.11; compile bench; compile bench-filesystems; \
	compile airflow-3.0 2026-02-15; compile airflow-3.1 2026-03-15; compile airflow-3.2 2026-06-15; \
	compile airflow-3.4 "" 3.11

clean:  ## remove the environments and everything generated
	rm -rf $(AF3) $(AF2) $(BENCH) $(BENCH_FS) build dist docs/_build docs/_generated tests/conformance/node_modules .demo
