# `make help` lists the targets. Everything runs in the environment that `uv sync` makes.
UV ?= ./dev --uv
RUN := $(UV) run --no-sync

.PHONY: help sync format lint types imports test quick check spec bench chaos build

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

sync:  ## make the environment
	$(UV) sync

format:  ## rewrite the code in the house format
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

lint:  ## format and lint, changing nothing
	$(RUN) ruff format --check .
	$(RUN) ruff check .

types:  ## mypy strict and pyright strict, on sources and tests
	./dev types

imports:  ## who may import whom
	$(RUN) lint-imports

test:  ## all tests
	./dev test

quick:  ## the tests that take no time
	./dev test -m "not slow and not chaos"

check: lint imports types test  ## what a change must pass

spec:  ## rules of the specification without a test (SPEC=folder)
	$(RUN) python scripts/spec_coverage.py $(SPEC)

bench:  ## measure, side by side with the peers that can be had
	$(RUN) python -m benchmarks

chaos:  ## the long form of the tests that kill things
	HORSIES_CHAOS=long $(RUN) pytest -n 0 -m chaos --timeout 3600

build:  ## all distributions into dist/, wheels from sdists
	rm -rf dist
	$(UV) build --all-packages --no-sources
