# The two commands a newcomer needs are `make dev` and `make test`; `make help` lists the rest.

SHELL := bash
.DEFAULT_GOAL := help
NODE_MIN := 20

.PHONY: help setup dev smoke screenshots test test-e2e campaign soak fuzz bench bench-e2e bench-scale bench-page fmt lint doc image-steps lint-deploy deny sbom clean

help: ## List the targets.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Check for what is needed, and install what may be installed.
	@.ci/setup

dev: setup ## Everything on this machine: database, daemon, sinks, demo workload. Ctrl-C stops it.
	cargo run --quiet -- dev

smoke: setup ## The same once, without a person: burst, alerts, resolved messages, one line of JSON.
	cargo run --quiet -- dev --smoke

screenshots: ## Pictures of every page of a running `make dev`; those of the README are committed.
	cd dashboard && node scripts/screenshots.mjs $(DASHBOARD)

test: setup ## All tests on PostgreSQL 17, those about the database on the system's as well.
	@.ci/test

test-e2e: setup ## Browser tests only; installs Debian's Chromium where it may.
	@.ci/test-e2e

campaign: setup ## Of these, kills, takeovers and misbehaving servers: about 7 minutes on a quiet machine.
	cargo test -p meshhook-errors --test it -- --test-threads=3 availability:: crash_points:: faults:: latency:: ledger_concurrency:: pipeline::processes:: soak_briefly:: system::

soak: setup ## Writers, faults, kills and takeovers for SOAK_MINUTES minutes (10); the last line is the balance as JSON.
	@cargo test --quiet -p meshhook-errors --test soak

fuzz: ## Fuzz targets, FUZZ_SECONDS (600) each; needs cargo-fuzz and a nightly compiler.
	@.ci/fuzz $(FUZZ)

bench: setup ## Benchmarks in release mode against their budgets: one table, also as target/bench/summary.json.
	cargo bench --workspace --exclude meshhook-errors
	cargo bench -p meshhook-errors --bench engine --bench frames --bench ledger --bench insert --bench feed --bench memory --bench instructions
	cd packages/error-reporter && node bench/capture.js
	@cargo bench --quiet -p meshhook-errors --bench report

bench-e2e: setup ## From insert to Slack and mail at 1 to 5,000 inserts/s, Realtime healthy, dead, black-holed; some minutes.
	cargo bench -p meshhook-errors --bench e2e
	@cargo bench --quiet -p meshhook-errors --bench report

bench-scale: setup ## What the dashboard asks of BENCH_ROWS errors (10,000,000), and back-tests over BACKTEST_ROWS (1,000,000); needs 10 GB and minutes.
	cargo bench -p meshhook-errors --bench scale
	cargo bench -p meshhook-errors --bench backtest
	@cargo bench --quiet -p meshhook-errors --bench report

bench-page: setup ## The overview in Chromium over the database that bench-scale left in the folder BENCH_DATA.
	cargo build --release -p meshhook-errors -p supabase-local
	cd dashboard && node scripts/prepare.mjs install && npx vite build --logLevel warn && node scripts/bench-page.mjs
	@cargo bench --quiet -p meshhook-errors --bench report

fmt: ## Format the code.
	cargo fmt --all

lint: ## Format check, clippy with warnings denied, documentation without warnings, the dashboard's own.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	cd dashboard && node scripts/prepare.mjs install && npm run --silent lint && npm run --silent check

image-steps: ## What deploy/Dockerfile does, without Docker, on exactly the files that it copies.
	@.ci/image-steps

lint-deploy: ## Checks the files in deploy/ with the programs that read them, where they are here.
	@.ci/lint-deploy

sbom: ## What the binary and the npm packages are made of, as CycloneDX in target/sbom.
	@node .ci/sbom.mjs

deny: ## Licences, bans, sources and advisories of dependencies; needs cargo-deny, and the network for advisories.
	cargo deny check bans licenses sources
	cargo deny check advisories

clean: ## Remove what was built.
	cargo clean
