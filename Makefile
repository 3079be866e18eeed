# `make` lists the targets. Each one is a thin door to a script in scripts/, so that CI, a person and this file do the same.
#
# Variables: PORT, DATA_DIR, DOCS, SOURCE, RUN_PROFILE, RUN_BACKGROUND (see scripts/run.sh); CARGO_TARGET_DIR as for cargo.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run up down dev build models sync migrate ingest test test-web e2e pictures check fmt lint type gen schemathesis chaos coverage bench deny full ci clean

DATA_DIR ?= data
SOURCE ?= docs
export DATA_DIR

CARGO := cargo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## build, start on ./data, ingest and serve until Ctrl+C (DOCS=path: your own folder)
	@scripts/run.sh

up: ## the same in the background
	@RUN_BACKGROUND=1 scripts/run.sh

down: ## stop what `make up` started
	@scripts/run.sh --stop

dev: ## server and page with reload on change
	@scripts/dev.sh

build: ## the release binary with the page in it
	@scripts/web.sh
	ASTROLABE_GIT_SHA=$$(git rev-parse HEAD 2>/dev/null || true) $(CARGO) build --locked --release -p astrolabe-server --all-features

models: ## fetch the embedding model and check its SHA-256
	@scripts/models.sh

sync: ## fetch every dependency, for Rust and for the page
	$(CARGO) fetch --locked
	@if command -v npm >/dev/null; then scripts/web.sh --install; else echo "npm is missing: the page's dependencies were not fetched"; fi

migrate: ## bring the database to the schema of this version
	@scripts/run.sh --command migrate

ingest: ## add DOCS=path to the source SOURCE=name (with or without a running server)
	@test -n "$(DOCS)" || { echo "name a folder: make ingest DOCS=path [SOURCE=name]" >&2; exit 2; }
	@scripts/run.sh --command ingest "$(DOCS)" --source "$(SOURCE)"

test: ## the Rust tests on SQLite, then on PostgreSQL, which is started for them
	@scripts/test.sh

test-web: ## the page's unit and route tests
	@scripts/web.sh --exec npm test

e2e: ## a person's journeys in headless Chromium against the real binary
	@scripts/e2e.sh

pictures: ## the README's picture, taken in headless Chromium
	@scripts/pictures.sh

check: ## the fastest answer to "does it compile?"
	$(CARGO) check --locked --workspace --all-targets

fmt: ## format Rust and TypeScript
	$(CARGO) fmt --all
	@if command -v npm >/dev/null; then scripts/web.sh --exec npm run --silent fix; fi

lint: ## what CI refuses: format, clippy, biome, shell
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	@scripts/web.sh --exec npm run lint
	@scripts/lint-shell.sh

type: ## types only: cargo check and tsc
	$(CARGO) check --locked --workspace
	@scripts/web.sh --exec npx tsc --noEmit

gen: ## write docs/generated and the page's API types again
	@scripts/gen.sh

schemathesis: ## the API's description against the running server, every phase and check
	@scripts/schemathesis.sh

chaos: ## kill -9: 10 times over 1,000 files, 50 times over calls of models, on SQLite and PostgreSQL
	@scripts/chaos.sh

coverage: ## line coverage of the Rust tests; fails below 80 %
	@scripts/coverage.sh

bench: ## measure beside peers; answers' quality, too (needs a quiet machine)
	@bench/run.sh

deny: ## licences, bans and duplicates of dependencies (needs cargo-deny)
	$(CARGO) deny check bans licenses sources

ci: ## exactly what CI runs
	@.ci/run

full: ## everything: CI, long kill tests, coverage
	@.ci/run
	@scripts/chaos.sh
	@scripts/coverage.sh

clean: ## remove what was built; ./data and the models stay
	$(CARGO) clean
	rm -rf web/dist web/node_modules web/test-results coverage
