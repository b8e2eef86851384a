# `make` lists the targets. `make xla` also moves cargo's target folder into the cache that all clones share.

.PHONY: help run test check formatting lint features rustdoc bench placement tpch fuzz fuzz-deep fuzz-oracles conformance sqlite docs xla fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: xla ## build, generate TPC-H data on the first start, and open the SQL shell (or run the SQL on standard input)
	@cargo run --release --bin parallax

test: xla ## run all tests: unit tests, SQL tests on every engine, property tests, examples, doc tests, scripts
	scripts/test-fetch-xla
	scripts/fetch-s3-server
	cargo test --tests --no-fail-fast; tests=$$?; cargo test --doc && exit $$tests

check: formatting lint features rustdoc test ## run everything that CI runs: formatting, lints, features, documentation, tests

formatting: ## check that the code is formatted
	cargo fmt --check

# First without the feature `internals`, because rustc only reports dead code in private modules.
lint: xla ## check all targets with clippy; warnings are errors
	cargo clippy -- -D warnings
	cargo clippy --all-targets -- -D warnings

features: xla ## check that the library builds without its cargo features and with each one alone
	for features in '' tpch shell remote; do \
	  cargo clippy --lib --bins --no-default-features --features "$$features" -- -D warnings || exit 1; \
	done

rustdoc: xla ## build the API documentation; broken links and missing texts are errors
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

bench: xla ## measure TPC-H against DataFusion, DuckDB and Polars, and write docs/benchmarks.md
	cargo bench --bench tpch

placement: xla ## measure TPC-H and the .slt queries under every placement, and list where auto is slower (data: PARALLAX_TPCH)
	cargo test --release --test slt -- --placement

tpch: xla ## compare the 22 TPC-H queries with DataFusion at scale factor 1, also with 128 MiB of memory (PARALLAX_TPCH_SCALE)
	cargo test --release --test differential -- --ignored --exact tpch::tpch_at_scale_factor_1 --nocapture

fuzz: xla ## compare 100,000 random queries with DataFusion (PARALLAX_FUZZ_CASES, PARALLAX_FUZZ_SEED), then fuzz-deep
	cargo test --release --test differential -- --ignored --exact fuzz::fuzz --nocapture
	$(MAKE) fuzz-deep

fuzz-deep: xla ## run 2,000 deep and long statements, up to a megabyte (PARALLAX_FUZZ_CASES, PARALLAX_FUZZ_SEED)
	cargo test --release --test differential -- --ignored --exact deep::fuzz --nocapture

fuzz-oracles: xla ## compare 100,000 random queries with SQLite and DuckDB (PARALLAX_FUZZ_CASES, PARALLAX_FUZZ_SEED)
	PARALLAX_DUCKDB_PYTHON=$$(scripts/bench-python duckdb) && export PARALLAX_DUCKDB_PYTHON && \
	cargo test --release --test slt -- --semantics-of-duckdb && \
	cargo test --release --test differential -- --ignored --exact oracle::fuzz --nocapture

conformance: xla ## run DataFusion's own test suite four times, and write docs/conformance.md
	scripts/fetch-conformance
	cargo test --release --test slt -- --conformance

sqlite: xla ## run SQLite's own test suite, a folder of .test files (DIR), on the host and the device (PARALLAX_SQLITE_SAMPLE)
	@test -d "$(DIR)" || { echo "make sqlite DIR=..: name the folder of SQLite's .test files" >&2; exit 2; }
	cargo test --release --test slt -- --sqlite "$(abspath $(DIR))"

docs: xla ## write docs/sql-support.md (what runs where, according to the planner) and docs/semantics.md (what SQL means)
	cargo test --test slt -- --docs

xla: ## download XLA into the cache, and tell cargo where it is
	@scripts/fetch-xla

fmt: ## format the code
	cargo fmt

clean: ## delete what this checkout built, and its data (the caches stay)
	cargo clean --package parallax
	rm -rf data bench-results
