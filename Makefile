# Everything runs in .venv, which the first target makes. Needed beforehand: Python 3.11 or later with pip, and make.
PYTHON ?= python3
AIRFLOW ?= 3.3.2
VENV ?= .venv
UV := .tools/bin/uv
BIN := $(VENV)/bin
# A development environment's own settings must not reach into ours, in either direction.
unexport VIRTUAL_ENV PYTHONPATH AIRFLOW_HOME

.PHONY: help install lint types unit test test-fleets test-2.11 test-lowest fuzz demo bench build clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

# --target works without venv, and where the system's Python is "externally managed".
$(UV):
	@echo "Installing uv into .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv

$(VENV)/installed-$(AIRFLOW): pyproject.toml $(UV)
	@echo "Installing Airflow $(AIRFLOW) and this provider into $(VENV)"
	@PYTHONPATH=.tools $(UV) venv --quiet --clear --python $(PYTHON) $(VENV)
	@PYTHONPATH=.tools $(UV) pip install --quiet --python $(BIN)/python "apache-airflow==$(AIRFLOW)" -e ".[sandbox]" \
	    --group test --group lint --group bench
	@touch $@

install: $(VENV)/installed-$(AIRFLOW)  ## Make the development environment

lint: install  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## Strict types
	$(BIN)/mypy

unit: install  ## Unit tests with branch coverage
	$(BIN)/pytest -m "not integration and not fleet" --cov --cov-report=term

test: lint types unit  ## Everything that a change must pass, a real Airflow included
	$(BIN)/pytest -m integration

test-fleets: install  ## 120 mapped tasks in each scope on a real Airflow; minutes
	$(BIN)/pytest -m fleet -s

demo: install  ## Sandbox, private Airflow, both example DAGs; KEEP=1 leaves Airflow up until Ctrl-C
	@$(BIN)/python -m demo

test-2.11:  ## Unit tests on the oldest Airflow that is supported, in an environment of its own
	$(MAKE) AIRFLOW=2.11.2 VENV=.venv-2.11 install
	.venv-2.11/bin/pytest -m "not integration and not fleet" -q

bench: install  ## Speed, side by side with named peers
	$(BIN)/python -m benchmarks.warm_token
	$(BIN)/python -m benchmarks.session
	$(BIN)/python -m benchmarks.waiting

fuzz: install  ## Ten thousand examples of everything that is parsed, then atheris; minutes
	@PYTHONPATH=.tools $(UV) pip install --quiet --python $(BIN)/python --group fuzz
	HYPOTHESIS_PROFILE=long $(BIN)/pytest tests/fuzz -q
	for parser in sealed answer; do $(BIN)/python -m tests.fuzz.atheris_parsers $$parser -max_total_time=60 || exit 1; done

test-lowest: $(UV)  ## Unit tests with the oldest dependencies that pyproject.toml allows, in an environment of its own
	@PYTHONPATH=.tools $(UV) venv --quiet --clear --python $(PYTHON) .venv-lowest
	@PYTHONPATH=.tools $(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
	    "apache-airflow==2.11.0" "apache-airflow-providers-common-compat==1.22.0" -e ".[sandbox]" --group test
	.venv-lowest/bin/pytest -m "not integration and not fleet" -q

build: install  ## Wheel and source distribution
	$(BIN)/python -m build --installer uv

clean:  ## Remove what make made
	rm -rf .venv .venv-2.11 .venv-lowest .hypothesis .tools dist .mypy_cache .ruff_cache .pytest_cache .coverage
