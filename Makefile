# Everything runs in .venv; `make install` creates it. Required: Python 3.11 or later with pip, and make.
PYTHON ?= python3
AIRFLOW ?= 3.3.2
VENV ?= .venv
UV := .tools/bin/uv
BIN := $(VENV)/bin
# A test that hangs ends its worker, and the others go on.
PARALLEL := -n 2 --dist loadfile -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true
# Debian's package, if it is not installed.
POSTGRESQL := $(firstword $(wildcard /usr/lib/postgresql/*/bin/postgres) postgresql)
SEED ?= 1
ROUNDS ?= 10
# Each measured table ends with the commit that it is of.
STAMP = for file in $$(git ls-files --modified --others --exclude-standard 'docs/measured/*.txt' 'docs/measured/*.md'); do \
    grep -q '^Commit ' $$file || printf '\nCommit %s.\n' "$$(git rev-parse --short=8 HEAD)" >>$$file; done
# The settings of the caller's environment must not affect ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONDONTWRITEBYTECODE AIRFLOW_HOME

.PHONY: help install lint types unit test test-fleets test-long test-stores test-form screenshots test-postgres test-distributed test-faults test-kills test-mock test-versions test-matrix test-lowest fuzz demo bench bench-scale docs build release clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

# --target works without venv, and with an "externally managed" system Python.
$(UV):
	@echo "Installing uv and nox into .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv nox

$(VENV)/installed-$(AIRFLOW): pyproject.toml $(UV)
	@echo "Installing Airflow $(AIRFLOW) and this provider into $(VENV): some 200 packages, about a minute"
	@PYTHONPATH=.tools $(UV) venv --quiet --clear --python $(PYTHON) $(VENV)
	@PYTHONPATH=.tools $(UV) pip install --quiet --python $(BIN)/python "apache-airflow==$(AIRFLOW)" -e ".[sandbox]" \
	    --group test --group lint --group bench --group docs $(MORE)
	@touch $@

install: $(VENV)/installed-$(AIRFLOW)  ## Create the development environment

lint: install  ## Check the style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## Check the types, strictly
	$(BIN)/mypy

unit: install  ## Run the unit tests with branch coverage
	$(BIN)/pytest -m "not slow" $(PARALLEL) --cov --cov-report=term

test: lint types unit  ## Run all checks that a change must pass, also on a real Airflow
	$(BIN)/pytest -m "integration and not long" $(PARALLEL)

test-fleets: install $(POSTGRESQL)  ## Run 120 mapped tasks in each scope on a real Airflow with PostgreSQL; ten minutes
	@PYTHONPATH=.tools $(UV) pip install --quiet --python $(BIN)/python --group postgres
	$(BIN)/pytest -m "fleet and not long" $(PARALLEL) -vv -rfEP

test-long: install /usr/bin/chromium $(POSTGRESQL)  ## Kill a rotation at each step, walk through the tutorial, run each example DAG; half an hour
	@PYTHONPATH=.tools $(UV) pip install --quiet --python $(BIN)/python --group form --group postgres
	$(BIN)/pytest -m long -rP

test-stores: install  ## Test the stores of a rotated client secret: AWS Secrets Manager (moto), Vault (OpenBao)
	@PYTHONPATH=.tools $(UV) pip install --quiet --python $(BIN)/python --group stores
	$(BIN)/pytest -m stores

# The tests start servers of their own: a cluster that Debian's package makes and starts would only be in the way.
NO_CLUSTER := /etc/postgresql-common/createcluster.d/none.conf
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
$(NO_CLUSTER):
	@$(SUDO) mkdir -p $(@D) && echo "create_main_cluster = false" | $(SUDO) tee $@ >/dev/null

postgresql: $(NO_CLUSTER)
postgresql /usr/bin/redis-server /usr/bin/chromium:
	@echo "Installing $(@F)"
	@export DEBIAN_FRONTEND=noninteractive; $(SUDO) apt-get -qq update && \
	    $(SUDO) apt-get -qq install --yes --no-install-recommends $(@F) >/dev/null

test-form: install /usr/bin/chromium  ## Test the connection form of a real Airflow in Debian's Chromium; two minutes
	@PYTHONPATH=.tools $(UV) pip install --python $(BIN)/python --group form
	$(BIN)/pytest -m "form and not long"

screenshots:  ## Run test-form and replace the pictures in the docs
	$(MAKE) test-form ATLAS_SCREENSHOTS=docs/images

demo: install  ## Run three example DAGs on a sandbox and a private Airflow; KEEP=1 keeps it running until Ctrl-C
	@$(BIN)/python -m demo

test-postgres: $(UV) $(POSTGRESQL)  ## Test eight processes that write at the same time, on Airflow 2.11 and 3.0
	@PYTHONPATH=.tools PATH="$(CURDIR)/.tools/bin:$$PATH" $(PYTHON) -m nox -s postgres

test-distributed: $(POSTGRESQL) /usr/bin/redis-server  ## Test on Celery, two workers and two triggerers
	$(MAKE) VENV=.venv-distributed MORE="--group distributed" install
	.venv-distributed/bin/pytest -m distributed -s tests/distributed

test-faults: $(POSTGRESQL) /usr/bin/redis-server  ## Kill every process twice in each of ROUNDS rounds of four minutes while Atlas fails; Celery, seed SEED
	$(MAKE) VENV=.venv-distributed MORE="--group distributed" install
	.venv-distributed/bin/python -m tests.faults --seed $(SEED) --rounds $(ROUNDS) --write docs/measured/faults.md
	.venv-distributed/bin/python -m tests.faults --seed $(SEED) --rounds 3 --slow --write docs/measured/faults-slow.md
	@$(STAMP)

test-kills: $(POSTGRESQL) /usr/bin/redis-server  ## Kill worker, triggerer and scheduler beneath 54 snapshots and restores; Celery, seed SEED; seven minutes
	$(MAKE) VENV=.venv-distributed MORE="--group distributed" install
	.venv-distributed/bin/python -m tests.faults.jobs --seed $(SEED) --write docs/measured/kills.md
	@$(STAMP)

test-mock: install  ## Have prism, a mock of others, validate each request of the scoreboard; needs npm and ATLAS_OPENAPI
	npm install --silent --no-audit --no-fund --prefix .tools/prism @stoplight/prism-cli
	ATLAS_PRISM=.tools/prism/node_modules/.bin/prism $(BIN)/pytest -m mock -s

test-versions: $(UV)  ## Run the unit tests on Airflow 2.11 and 3.0, and tests on a real 2.11
	@PYTHONPATH=.tools PATH="$(CURDIR)/.tools/bin:$$PATH" $(PYTHON) -m nox

test-matrix: $(UV)  ## Run the unit tests on each supported Airflow with each of its Pythons, and on a pre-release; an hour
	@PYTHONPATH=.tools PATH="$(CURDIR)/.tools/bin:$$PATH" $(PYTHON) -m nox -s matrix prerelease --no-error-on-missing-interpreters

bench: install  ## Measure speed and cost compared with peers, into docs/measured; two hours
	@mkdir -p docs/measured
	@missed=; for name in warm_token session download parsing task_cost loop triggers waits pauses claim_races waiters waiting fleets; do \
	    echo "== $$name"; AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING $(BIN)/python -m benchmarks.$$name >docs/measured/$$name.txt || \
	        missed="$$missed $$name"; \
	    cat docs/measured/$$name.txt; done; $(STAMP); [ -z "$$missed" ] || { echo "Outside their bounds:$$missed"; exit 1; }

bench-scale: $(POSTGRESQL) /usr/bin/redis-server  ## Measure pods, and 10 to 1,000 tasks on Celery, into docs/measured; needs root and nftables
	$(MAKE) VENV=.venv-distributed MORE="--group distributed" install
	.venv-distributed/bin/python -m benchmarks.pods
	for size in 10 100 1000; do .venv-distributed/bin/python -m benchmarks.thousand --tasks $$size || exit 1; done
	.venv-distributed/bin/python -m benchmarks.growth
	@$(STAMP)

docs: install  ## Build the documentation as HTML in docs/_build; warnings are errors
	$(BIN)/sphinx-build -E -a -W --keep-going -n docs docs/_build

fuzz: install  ## Run 10,000 examples for every parser and 2,000 in each weather of the store, then atheris; half an hour
	@PYTHONPATH=.tools $(UV) pip install --quiet --python $(BIN)/python --group fuzz
	HYPOTHESIS_PROFILE=long $(BIN)/pytest tests/fuzz -q -n 2
	for parser in sealed response; do $(BIN)/python -m tests.fuzz.atheris_parsers $$parser -max_total_time=60 || exit 1; done

test-lowest: $(UV)  ## Run the unit tests with the oldest dependencies that pyproject.toml allows
	@PYTHONPATH=.tools $(UV) venv --quiet --clear --python $(PYTHON) .venv-lowest
	@PYTHONPATH=.tools $(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
	    "apache-airflow==2.11.0" "apache-airflow-providers-common-compat==1.22.0" -e ".[sandbox]" --group test
	.venv-lowest/bin/pytest -m "not slow" -q

build: install  ## Build wheel and source distribution
	@rm -rf dist
	$(UV) build --no-sources --quiet --python $(BIN)/python --out-dir dist
	$(BIN)/python -m twine check --strict dist/*
	@ls dist

release: install  ## What a release needs: sdist and wheel, an SBOM of what the wheel installs, and a check of its licences
	@rm -rf dist .venv-release
	$(UV) build --no-sources --quiet --python $(BIN)/python --out-dir dist
	@$(UV) venv --quiet --python $(PYTHON) .venv-release
	@$(UV) pip install --no-sources --quiet --python .venv-release/bin/python "apache-airflow==$(AIRFLOW)" dist/*.whl
	@$(UV) pip install --quiet --python $(BIN)/python --group release
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/cyclonedx-py environment --of JSON -o dist/sbom.cdx.json .venv-release/bin/python
	@# text-unidecode comes with Airflow, under the Artistic License or the GPL, as one chooses.
	$(BIN)/pip-licenses --ignore-packages text-unidecode --python .venv-release/bin/python --partial-match --fail-on "GNU General Public;GNU Affero;AGPL" --summary
	@ls dist

clean:  ## Remove everything that make created
	rm -rf docs/_build .venv .venv-distributed .venv-lowest .venv-release .nox .hypothesis .tools dist .mypy_cache .ruff_cache .pytest_cache .coverage
