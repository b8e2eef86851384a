# `make` lists what there is. `make xla` puts the target folder, too, into the cache that all clones share.

.PHONY: help run test check bench placement tpch fuzz conformance docs xla fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: xla ## build, write a small TPC-H the first time, open the SQL shell (or run the SQL on stdin)
	@cargo run --release --bin parallax

test: xla ## run every test: unit, sql-tests on each engine, examples, doc tests, scripts
	scripts/test-fetch-xla
	scripts/fetch-s3-server
	cargo test --no-fail-fast

check: xla ## what CI runs: formatting, clippy, every test
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	@$(MAKE) --no-print-directory test

bench: xla ## time TPC-H beside DataFusion, DuckDB and Polars; write docs/benchmarks.md
	cargo bench --bench tpch

placement: xla ## time TPC-H and the .slt queries under each placement; list where auto is the slower (PARALLAX_TPCH: data)
	cargo test --release --test slt -- --placement

tpch: xla ## compare all 22 TPC-H queries with DataFusion at scale factor 1, and again in 128 MiB (PARALLAX_TPCH_SCALE)
	cargo test --release --test differential -- --ignored --exact tpch::tpch_at_scale_factor_1 --nocapture

fuzz: xla ## compare 100,000 random queries with DataFusion (PARALLAX_FUZZ_CASES, PARALLAX_FUZZ_SEED)
	cargo test --release --test differential -- --ignored --exact fuzz::fuzz --nocapture

conformance: xla ## run DataFusion's published suite three times; write docs/conformance.md
	scripts/fetch-conformance
	cargo test --release --test slt -- --conformance

docs: xla ## write docs/sql-support.md: what runs where, as the planner says
	cargo test --test slt -- --docs

xla: ## fetch XLA into the cache, and tell cargo where it is
	@scripts/fetch-xla

fmt: ## format the code
	cargo fmt

clean: ## remove what this checkout built, and its data (the caches stay)
	cargo clean --package parallax
	rm -rf data bench-results
