# Everything runs from the checkout, in the virtual environment .venv; nothing else is installed.
# The environment holds requirements.lock, or requirements-dev.lock (a superset) once a test or
# check was asked for. Stamps in .venv say what was installed, so a second start begins at once.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
JS := tests/e2e/js
# Newest first. PYTHON=/path/to/python names another one.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python)
INSTALLED := $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.runtime)
COMPILED := build/.compiled
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-header --python-version 3.11 --override requirements-overrides.txt
# Each process has stores of its own. Tests that start a whole server run one after the other.
PARALLEL := --numprocesses=auto --maxprocesses=8 --dist=loadfile
NODE_MODULES := $(JS)/node_modules/.installed
WEB := frontend
WEB_MODULES := $(WEB)/node_modules/.installed
# The last file that a build of the frontend writes.
SITE := $(WEB)/out/site.json
WEB_SOURCES = $(shell find $(WEB)/src $(WEB)/scripts $(WEB)/public -type f ! -name schema.d.ts) \
	$(addprefix $(WEB)/,next.config.ts postcss.config.mjs tsconfig.json)
API_SOURCES = $(wildcard serve_app/api/*.py actors/*.py config/*.py)
NODE := .tools/.node
VLLM := .tools/vllm
BROWSER := .tools/.browser
WITH_NODE = PATH="$(CURDIR)/.tools/node/bin:$$PATH"; export PATH

.PHONY: help run demo test test-unit test-property test-integration test-e2e test-fault coverage \
	test-vllm check lint types check-site site format lock bench eval install install-dev clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' Makefile

run: $(INSTALLED) $(COMPILED) ## Start Serai in the foreground; ARGS="..." passes options on
	@$(TRY_SITE)
	@exec $(PY) -m serve_app up $(ARGS)

demo: $(INSTALLED) $(COMPILED) ## Start Serai with the starter content imported
	@$(TRY_SITE)
	@exec $(PY) -m serve_app up --demo $(ARGS)

# The tests run even when a check failed: both results are worth having. Pytest comes last.
test: $(VENV)/.dev $(NODE_MODULES) $(SITE) $(BROWSER) ## Check and test everything; ARGS="..." goes to pytest
	@status=0; \
	$(MAKE) --no-print-directory --keep-going check || status=$$?; \
	$(PY) -m pytest $(PARALLEL) tests/unit tests/property tests/integration $(ARGS) || status=$$?; \
	$(PY) -m pytest tests/e2e tests/fault $(ARGS) || status=$$?; \
	exit $$status

test-unit: $(VENV)/.dev ## Pure tests: no sockets, no stores
	@exec $(PY) -m pytest tests/unit $(ARGS)

test-property: $(VENV)/.dev ## Generated cases over reducers and codecs
	@exec $(PY) -m pytest tests/property $(ARGS)

test-integration: $(VENV)/.dev $(NODE_MODULES) $(SITE) ## Against the embedded PostgreSQL and Valkey
	@exec $(PY) -m pytest $(PARALLEL) tests/integration $(ARGS)

test-e2e: $(VENV)/.dev $(NODE_MODULES) $(SITE) $(BROWSER) ## A real server and real SDK clients
	@exec $(PY) -m pytest tests/e2e $(ARGS)

test-fault: $(VENV)/.dev $(NODE_MODULES) ## Kill, pause and corrupt parts of a running server
	@exec $(PY) -m pytest tests/fault $(ARGS)

test-vllm: $(VLLM)/.installed ## vLLM itself, on a CPU: Linux, Python 3.11, 5 GB in .tools/vllm, 6 GB of memory
	@exec $(VLLM)/bin/python -m pytest --confcutdir=tests/vllm -W default tests/vllm $(ARGS)

coverage: $(VENV)/.dev $(NODE_MODULES) $(SITE) $(BROWSER) ## Run the tests and report branch coverage
	@status=0; \
	$(PY) -m coverage run -m pytest $(ARGS) || status=$$?; \
	$(PY) -m coverage report || status=$$?; \
	exit $$status

check: lint types check-site ## All static checks

lint: $(VENV)/.dev ## Style, formatting and the layering contracts
	@status=0; \
	$(PY) -m ruff check . || status=$$?; \
	$(PY) -m ruff format --check . || status=$$?; \
	$(VENV)/bin/lint-imports --no-logo || status=$$?; \
	exit $$status

types: $(VENV)/.dev ## mypy, strict
	@$(PY) -m mypy

site: $(SITE) ## Build the web pages (frontend/README.md)

check-site: $(WEB)/src/api/schema.d.ts ## The frontend's style, messages and types
	@$(WITH_NODE); cd $(WEB) && npm run --silent check

format: $(VENV)/.dev $(WEB_MODULES) ## Rewrite the sources as ruff and biome want them
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .
	@$(WITH_NODE); cd $(WEB) && npm run --silent format

lock: $(VENV)/.uv ## Pin what changed in requirements*.in; ARGS=--upgrade moves every pin
	$(COMPILE) $(ARGS) requirements-uv.in -o requirements-uv.lock
	$(COMPILE) $(ARGS) requirements-node.in -o requirements-node.lock
	$(COMPILE) $(ARGS) requirements.in -o requirements.lock
	$(COMPILE) $(ARGS) requirements-dev.in -o requirements-dev.lock
	$(COMPILE) --override requirements-gpu-overrides.txt $(ARGS) requirements-gpu.in -o requirements-gpu.lock
	$(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --override tests/vllm/overrides.txt $(ARGS) \
		tests/vllm/requirements.in -o tests/vllm/requirements.lock

bench: $(VENV)/.dev ## Measure the performance bars; ARGS="..." chooses
	@exec $(PY) -m benchmarks $(ARGS)

eval: $(VENV)/.dev ## Measure what the assistant finds and answers, over the starter content
	@exec $(PY) -m benchmarks.evaluation $(ARGS)

install: $(VENV)/.runtime $(COMPILED) ## Only install what running needs

install-dev: $(VENV)/.dev $(NODE_MODULES) $(WEB_MODULES) $(BROWSER) $(COMPILED) ## Only install what tests and checks need

clean: ## Remove what was built or installed here; data directories stay
	rm -rf $(VENV) .tools $(JS)/node_modules $(WEB)/node_modules $(WEB)/.next $(WEB)/out .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment that still works is kept; one whose interpreter is gone is made anew.
$(VENV)/.uv: requirements-uv.lock
	@set -eu; \
	new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(PY) -c "$$new_enough" 2>/dev/null || ! $(PY) -m pip --version >/dev/null 2>&1; then \
		chosen=; old=; bare=; \
		for candidate in $(PYTHONS); do \
			version=$$($$candidate -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) \
				|| continue; \
			if ! $$candidate -c "$$new_enough" 2>/dev/null; then old="$$old $$candidate=$$version"; \
			elif ! $$candidate -c 'import ensurepip, venv' 2>/dev/null; then bare="$${bare:-$$version}"; \
			else chosen=$$candidate; break; fi; \
		done; \
		if [ -z "$$chosen" ] && [ -n "$$bare" ]; then \
			echo "Python $$bare is here, but without its venv module (ensurepip)." >&2; \
			echo "Debian, Ubuntu: apt-get install python$$bare-venv" >&2; exit 1; \
		elif [ -z "$$chosen" ]; then \
			echo "Serai needs Python 3.11 or newer with venv; found:$${old:- none}." >&2; \
			echo "Debian 12: apt-get install python3 python3-venv. Elsewhere: python.org, or name one:" >&2; \
			echo "  make run PYTHON=/path/to/python3.12" >&2; exit 1; \
		fi; \
		echo "Creating $(VENV) with $$chosen ($$version)"; \
		$$chosen -m venv --clear $(VENV); \
	fi; \
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock; \
	touch $@

# Where the superset was installed in this very run, there is nothing to do: INSTALLED was chosen before.
$(VENV)/.runtime: $(VENV)/.uv requirements.lock
	@if [ $(VENV)/.dev -nt requirements-dev.lock ]; then touch $@; exit 0; fi; \
	echo "Installing requirements.lock" && \
	$(UV) pip sync --python $(PY) --require-hashes --quiet requirements.lock && \
	touch $@

$(VENV)/.dev: $(VENV)/.uv requirements-dev.lock
	@echo "Installing requirements-dev.lock"
	@$(UV) pip sync --python $(PY) --require-hashes --quiet requirements-dev.lock
	@touch $@

# vLLM and what it needs would not fit beside what the server needs.
$(VLLM)/.installed: $(VENV)/.uv tests/vllm/requirements.lock
	@echo "Installing tests/vllm/requirements.lock into $(VLLM)"
	@$(UV) venv --quiet --clear --python $(PY) $(VLLM)
	@$(UV) pip sync --quiet --python $(VLLM)/bin/python --require-hashes tests/vllm/requirements.lock
	@touch $@

# The send loop of the fan-out. Without a C compiler gateways run it in Python.
$(COMPILED): serve_app/gateway/fan.c serve_app/gateway/fan.py | $(INSTALLED)
	@$(PY) -m serve_app.gateway.fan && mkdir -p $(@D) && touch $@

# The frontend and the SDK driver need Node 20 or newer: the system's, else one in .tools/node.
$(NODE): $(VENV)/.uv requirements-node.lock
	@set -eu; mkdir -p $(@D); \
	if ! node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null \
		|| ! command -v npm >/dev/null; then \
		echo "Installing Node into .tools/node"; \
		$(UV) venv --quiet --clear --python $(PY) .tools/node; \
		$(UV) pip sync --quiet --python .tools/node/bin/python --require-hashes requirements-node.lock; \
	fi; \
	touch $@

$(JS)/node_modules/.installed $(WEB)/node_modules/.installed: %/node_modules/.installed: \
		%/package.json %/package-lock.json $(NODE)
	@echo "Installing $*/package-lock.json"
	@$(WITH_NODE); cd $* && npm ci --no-audit --no-fund --loglevel=error --silent
	@touch $@

# The document is written anew when a source of it is newer, and touched only when it says something
# else: the frontend is not built again for the inside of a handler.
$(WEB)/openapi.json: .tools/.openapi ;
.tools/.openapi: $(API_SOURCES) | $(INSTALLED)
	@mkdir -p $(@D) && $(PY) -m serve_app.api.write_document $(WEB)/openapi.json && touch $@

$(WEB)/src/api/schema.d.ts: $(WEB)/openapi.json $(WEB_MODULES)
	@$(WITH_NODE); cd $(WEB) && npm run --silent types >/dev/null && touch src/api/schema.d.ts

$(SITE): $(WEB_SOURCES) $(WEB)/src/api/schema.d.ts
	@echo "Building the web pages (frontend/): about a minute"
	@$(WITH_NODE); cd $(WEB) && npm run --silent build

# Without Node, or with a source that does not build, the server starts all the same and says so.
TRY_SITE = $(MAKE) --no-print-directory $(SITE) \
	|| echo "The web pages could not be built; the server starts without them." >&2

# The browser of the tests: what is there, else Debian's where we may install it.
$(BROWSER):
	@set -eu; mkdir -p $(@D); \
	for name in chromium chromium-browser google-chrome; do \
		if command -v $$name >/dev/null; then touch $@; exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium, for the tests in a browser"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium fonts-noto-core >/dev/null; \
		touch $@; \
	else \
		echo "No chromium here: tests in a browser will be skipped. apt-get install chromium" >&2; \
	fi
