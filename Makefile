# Everything a user or a developer runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
AF3 := .venv
AF2 := .venv-af2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check format lint types docs bench pins clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

# An environment is made anew when its pins change.
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

tests/conformance/node_modules/ready: tests/conformance/package-lock.json
	@echo "Installing the npm client ali-oss"
	@cd tests/conformance && npm ci --silent --no-audit --no-fund
	@touch $@

clean:  ## remove the environments and everything generated
	rm -rf $(AF3) $(AF2) build dist docs/_build docs/_generated tests/conformance/node_modules .demo
