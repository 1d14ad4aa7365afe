# The commands people use daily. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
DATA ?= .data

.PHONY: help needs run check test test-faults test-rabbitmq4 bench services tools web docs clean

help: ## list these commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 18

needs: ## say whether Rust and Node are there, new enough
	@need=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); have=$$($(CARGO) --version 2>/dev/null | cut -d' ' -f2); printf '%s\n' $$need $${have:-0} | sort -CV || { echo "Sportello needs Rust $$need or later; found: $${have:-none}. Install it from https://rustup.rs: Debian's own is older." >&2; exit 1; }
	@need=$$(sed -n 's/.*"node": ">=\(.*\)".*/\1/p' web/package.json); have=$$(npm --version >/dev/null 2>&1 && node --version | tr -d v); printf '%s\n' $$need $${have:-0} | sort -CV || { echo "Sportello needs Node $$need or later, with npm, to build its pages; found: $${have:-none}. Install it from https://nodejs.org, or Debian's nodejs and npm where they are as new." >&2; exit 1; }

run: web ## build everything and start it on the embedded default: prints where to go
	$(CARGO) build --release --locked
	exec $${CARGO_TARGET_DIR:-target}/release/sportello serve --data $(DATA)

check: web ## format, lints and every test that needs no server
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- --deny warnings
	$(CARGO) check --locked --lib --no-default-features
	$(CARGO) test --locked --lib --test settings_examples --test architecture
	npm --prefix web run check
	npm --prefix web test

test: tools ## every test, with private servers: RabbitMQ, PostgreSQL, Dovecot, an SMTP server, Chromium
	python3 tests/run.py

test-faults: tools ## the whole fault runs: kills, pauses, broken builds (about an hour)
	python3 tests/run.py --faults

test-rabbitmq4: tools ## the broker's contract and the end-to-end tests on RabbitMQ 4 (root: debootstrap)
	python3 tests/run.py --rabbitmq4

bench: tools web ## the figures of the README: rates, ratio to the raw broker, latencies, memory
	$(CARGO) build --release --locked --bins --benches
	python3 tests/servers.py run --postgres --rabbitmq -- $(CARGO) bench --locked --bench throughput

services: tools ## RabbitMQ and PostgreSQL for development: prints the settings to use
	python3 tests/servers.py serve --postgres --rabbitmq --dir $(DATA)/servers

tools: needs ## install what the tests need (Debian), or name the command that does
	@bash tests/tools.sh

web: needs web/dist/index.html ## build the console and the chat widget

web/dist/index.html: web/package-lock.json web/index.html $(shell find web/src web/chat web/public -type f 2>/dev/null) web/vite.config.ts web/vite.chat.config.ts | needs
	npm --prefix web ci --no-audit --no-fund --silent
	npm --prefix web run build
	@touch $@

docs: needs ## write the generated documents anew: docs/asyncapi.json
	$(CARGO) run --locked --quiet -- --set installation.event_type_prefix=it.example.sportello asyncapi > docs/asyncapi.json.new && mv docs/asyncapi.json.new docs/asyncapi.json

clean: ## remove what was built; the data folder stays
	$(CARGO) clean
	rm -rf web/dist web/node_modules
