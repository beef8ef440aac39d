# Each target sets up what it needs: `make run` and `make test` work on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
AUDIT ?=
NOT_AUDITED := known vulnerabilities of the dependencies were not looked up: AUDIT=skip

.DEFAULT_GOAL := help
.PHONY: help run man screenshots test fleet soak fleet-soak fuzz attack audit bench unit lint demo loop wheel python free-threaded release-check previews dashboards manifests docs diagrams format lock clean proxies routes

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: $(VENV)/.runtime ## start the sidecar; ARGS="--config sidecar.yaml" passes options
	exec $(BIN)/wellbeing-sidecar serve $(ARGS)

# With it, each program that a test starts would compile all of its modules: half a second each.
test pytest: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.dev $(VENV)/.debian ## lint, type-check and run every test
	@# mypy keeps one core busy for most of a minute. The tests start beside it.
	$(MAKE) --no-print-directory -j 2 lint pytest

.PHONY: pytest
pytest: $(VENV)/.dev $(VENV)/.debian $(VENV)/.collected
	$(BIN)/python -m pytest -n 6 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: real
real: $(VENV)/.dev $(VENV)/.debian ## fetch, build and run the real engines: vLLM, llama-server, Dynamo, Triton, LiteLLM, production-stack's router (7 GB, half an hour the first time)
	PYTHON=$(abspath $(BIN)/python) tests/real/prepare; prepared=$$?; \
	REAL_REQUIRED=1 $(BIN)/python -m pytest tests/real $(ARGS) && exit $$prepared

soak: $(VENV)/.dev ## run ten minutes of churn and a thousand kills; prints figures
	SOAK_SECS=600 SOAK_KILLS=1000 $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/e2e/test_reliability.py $(ARGS)

KILLS ?= 1100
fleet-soak: $(VENV)/.dev $(VENV)/.debian ## kill sidecars of a fleet a thousand times and Redis a hundred times (half an hour); KILLS=60 is shorter
	SOAK_FLEET_KILLS=$(KILLS) $(BIN)/python -m pytest -s -o faulthandler_timeout=0 \
	    tests/e2e/test_fleet.py::test_random_kills_of_sidecars_and_redis_lose_nothing_acknowledged $(ARGS)

fuzz: $(VENV)/.dev ## send a hundred thousand hostile requests, try each property on 20 times as many examples
	FUZZ_CASES=34000 HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -s tests/http/test_fuzz.py tests/http/test_openapi.py tests/unit $(ARGS)

audit: ## look up the locked dependencies among known vulnerabilities; AUDIT=skip where no such service can be reached
ifeq ($(AUDIT),skip)
	@echo '$(NOT_AUDITED)'
else
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install -q pip-audit
	$(PYTHON) -m deploy.audit $(VENV)/audit/bin/pip-audit
endif

attack: $(VENV)/.dev ## attack it with slow heads, clients that never read, huge bodies, a million scopes; prints figures
	$(BIN)/python -m bench.attack $(ARGS)

bench: $(VENV)/.dev $(VENV)/.debian ## measure it beside nginx, nchan and others; ARGS=--short only shows that the benchmark works
	$(BIN)/python -m bench $(ARGS)

proxies: $(VENV)/.dev $(VENV)/.debian ## measure each proxy with and without the gate
	$(BIN)/python -m bench.proxies $(ARGS)

routes: $(VENV)/.dev ## read the routes of inference servers from their newest wheels into tests/fixtures/routes
	$(BIN)/python tests/refresh-routes $(ARGS)

unit: $(VENV)/.dev ## run the tests that need no server
	$(BIN)/python -m pytest tests/unit $(ARGS)

lint: $(VENV)/.dev ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(VENV)/.dev $(VENV)/.debian ## run the whole loop with a simulated engine, in ten scenes; ARGS=--stay keeps it running
	$(BIN)/python -m demo $(ARGS)

fleet: $(VENV)/.dev $(VENV)/.debian ## play a fleet of five sidecars on one Redis: pauses, a killed leader, a killed and a wiped Redis
	$(BIN)/python -m demo.fleet $(ARGS)

loop: $(VENV)/.dev $(VENV)/.debian ## try each fault with each way of pausing, write docs/explanation/loop.md; ARGS=--short prints a few cases
	$(BIN)/python -m demo.loop build/loop.json $(ARGS); status=$$?; \
	$(BIN)/python -m demo.loop_report build/loop.json docs/explanation/loop.md && exit $$status

previews: $(VENV)/.dev $(VENV)/.debian ## draw the dashboards from the demo's data
	$(BIN)/python -m demo.previews docs/previews

screenshots: $(VENV)/.dev $(VENV)/.debian ## take the pictures of the status page in docs/images, in Chromium
	$(BIN)/python -m demo.screenshots docs/images

dashboards: $(VENV)/.dev ## build the dashboards' JSON
	$(BIN)/python -m dashboards.build

manifests: $(VENV)/.dev ## build the generated parts of deploy/: rules, the injection policy, the chart's README
	$(BIN)/python -m deploy.build
	$(BIN)/python -m deploy.chart_readme

docs: $(VENV)/.dev ## write the generated pages, and build the documentation site into build/site
	$(BIN)/python -m docsite.build
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

diagrams: $(VENV)/.dev $(VENV)/.debian ## draw the diagrams of the documentation with Mermaid, which npm fetches
	$(BIN)/python -m docsite.diagrams

man: $(VENV)/.dev ## write the manual page from the help of the commands
	$(BIN)/python -m sidecar.cli.manual docs/man/wellbeing-sidecar.1

format: $(VENV)/.dev ## format the code with ruff
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

python: ## run the tests of the client, the core and the gate on another Python; PYTHON=python3.14
	$(PYTHON) -m venv --clear build/python
	build/python/bin/python -m pip install -q '.[server]' fastapi hypothesis opentelemetry-sdk pytest
	build/python/bin/python -m pytest -q -p no:cacheprovider tests/unit/client tests/unit/core tests/http/test_gate.py $(ARGS)

free-threaded: ## run the tests of the client on a free-threaded Python, without the server; PYTHON=python3.14t
	$(PYTHON) -m venv --clear build/free-threaded
	build/free-threaded/bin/python -m pip install -q . hypothesis opentelemetry-sdk pytest
	build/free-threaded/bin/python -c 'import sys; assert not sys._is_gil_enabled()'
	build/free-threaded/bin/python -m pytest -q -p no:cacheprovider tests/unit/client $(ARGS)

wheel: $(VENV)/.made ## build the wheel into dist/
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m pip wheel -q --no-deps --wheel-dir dist .

# The audit first: it is the check that can fail for want of a service, and the tests take long.
release-check: audit test docs ## run all checks of a release, and build what it publishes into build/release; AUDIT=skip as for audit
	rm -rf build/release build/again
	$(PYTHON) -m venv $(VENV)/release
	$(VENV)/release/bin/python -m pip install -q build check-wheel-contents cyclonedx-bom twine
	$(VENV)/release/bin/python -m build -o build/release/dist . >/dev/null
	$(VENV)/release/bin/python -m build -o build/again . >/dev/null
	cd build/release/dist && sha256sum * | (cd ../../again && sha256sum -c)
	$(VENV)/release/bin/twine check --strict build/release/dist/*
	$(VENV)/release/bin/check-wheel-contents build/release/dist/*.whl
	$(VENV)/release/bin/cyclonedx-py requirements requirements.lock --output-reproducible -o build/release/sbom.json
	$(BIN)/helm package deploy/helm/wellbeing-sidecar --destination build/release/chart
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -czf build/release/mixin.tar.gz mixin
	$(BIN)/python -m deploy.release_notes > build/release/notes.md
	@echo 'build/release is complete$(if $(filter skip,$(AUDIT)),; $(NOT_AUDITED))'

lock: $(VENV)/.dev ## update the lock files from pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra server --extra redis \
	    -o requirements.lock pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra server --extra mcp --extra redis \
	    --extra dev --extra docs \
	    -o requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    -o deploy/requirements-build.lock deploy/requirements-build.in

clean: ## remove the environment and the tools' caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements.lock pyproject.toml
	$(BIN)/python -m pip install -q --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.made requirements-dev.lock pyproject.toml
	$(BIN)/python -m pip install -q --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@ $(VENV)/.runtime

# Each worker imports all files of tests. The first time, one process compiles them for all workers.
$(VENV)/.collected: $(VENV)/.dev
	-$(BIN)/python -m pytest --collect-only -qq >/dev/null
	@touch $@

$(VENV)/.debian: $(VENV)/.made tests/install-debian-packages tests/install-kubernetes-tools
	tests/install-debian-packages
	$(BIN)/python tests/install-kubernetes-tools
	@touch $@
