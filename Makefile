# `make demo` and `make test` do all the set-up themselves; `make help` lists the rest.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
SHELL := /bin/sh
export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SOURCES := $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi') setup.py pyproject.toml
STUBS = $(patsubst src/fastdht/_ext/%.pyi,fastdht._ext.%,$(wildcard src/fastdht/_ext/*.pyi))
DEMO_ARGS ?=
FUZZ_ARGS ?=
RINGS ?= unit property sim net cli typing meta interop

.PHONY: help demo test debug build sdist sim interop fuzz fuzz-gate lint stubs workflows docs annotate clean \
	bench bench-server bench-lookups bench-peers bench-crawl bench-bencode bench-replay bench-micro

help:            ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/.crawl  ## crawl a swarm of 50,000 virtual nodes over real UDP and check the result
	@$(BIN)/fastdht demo $(DEMO_ARGS)

test: $(VENV)/.dev   ## run every ring of tests against the installed wheel
	@VENV=$(VENV) tools/test.sh $(RINGS)

sim: $(VENV)/.dev    ## only the tests on a virtual network
	@VENV=$(VENV) tools/test.sh sim

interop: $(VENV)/.dev ## install other people's DHT programs (as root, or what is missing is told), and talk to them
	@tools/interop-setup.sh || test -z "$$FASTDHT_REQUIRE_PEERS"
	@VENV=$(VENV) tools/test.sh interop

build: $(VENV)/.dev  ## wheel and sdist into dist/
	@rm -rf dist && $(BIN)/python -m build -q --outdir dist . && ls -l dist

debug: $(VENV)/.venv ## a build with every Cython check on, in .venv-debug, and the fast rings on it
	@FASTDHT_DEBUG=1 $(MAKE) VENV=.venv-debug RINGS="unit property" test

lint: $(VENV)/.dev   ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/mypy

stubs: $(VENV)/.dev  ## the typed stubs of compiled modules against the modules themselves
	@$(BIN)/python -P -m mypy.stubtest --mypy-config-file pyproject.toml --ignore-disjoint-bases \
		--allowlist tools/stubtest-allowed.txt --ignore-unused-allowlist $(STUBS)

workflows: $(VENV)/.dev  ## .github/workflows against their schema
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

docs: $(VENV)/.docs   ## site/: the pages of docs/ and the API reference; a warning is an error
	@$(BIN)/mkdocs build --strict --quiet

annotate: $(VENV)/.dev   ## build/annotate/*.html: where compiled code touches Python
	@$(BIN)/python tools/annotate.py build/annotate

fuzz: $(VENV)/.dev       ## the scanner and the whole core under sanitizers until stopped
	@$(BIN)/python -m fuzz.run --python $(BIN)/python $(FUZZ_ARGS)

fuzz-gate: $(VENV)/.dev  ## the bounded run that CI makes
	@$(BIN)/python -m fuzz.run --python $(BIN)/python --gate

bench: bench-server bench-lookups bench-peers bench-crawl bench-bencode bench-replay bench-micro  ## all of them, one after the other

bench-micro: $(VENV)/.dev $(VENV)/.bench    ## pytest-benchmark, one per unit of the packet path
	@$(BIN)/python -m pytest bench/micro --benchmark-only

bench-server bench-lookups bench-crawl bench-bencode bench-replay: bench-%: $(VENV)/.dev $(VENV)/.bench
	@$(BIN)/python -m bench.macro.$*

bench-peers: $(VENV)/.dev $(VENV)/.bench
	@$(BIN)/python -m bench.macro.bulk_peers

clean:           ## everything built, and .venv
	rm -rf $(VENV) .venv-debug build dist site .mypy_cache .ruff_cache .pytest_cache
	rm -f src/fastdht/_ext/*.c src/fastdht/_ext/*.html src/fastdht/_ext/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.venv: tools/setup.sh
	@tools/setup.sh $(VENV)
	@touch $@

$(VENV)/.wheel: $(VENV)/.venv tools/install.sh $(SOURCES)
	@tools/install.sh build $(VENV)
	@touch $@

$(VENV)/.crawl $(VENV)/.dev $(VENV)/.bench $(VENV)/.docs: $(VENV)/.%: $(VENV)/.wheel
	@tools/install.sh extras $(VENV) $*
	@touch $@
