# `make demo` and `make test` do all set-up themselves on a Debian machine that has Rust.
.PHONY: demo test test-rust test-50k peers lint bench bench-smoke sim fuzz loom setup packages packages-check static ansible-check

CARGO := cargo
NODES := 200

setup:
	scripts/setup

demo: setup
	$(CARGO) run --release --quiet --bin muster -- demo --nodes $(NODES)

# Everything CI runs. The runner's own summaries are the last lines of each step.
test: setup peers lint loom test-50k bench-smoke test-rust

# Examples in the docs first, so that the last summary is that of tests that ran.
test-rust:
	$(CARGO) test --workspace --doc
	$(CARGO) test --workspace --lib --bins --tests --no-fail-fast

# Fifty thousand real node cores, every one accounted for; asserts completeness, not time.
test-50k:
	$(CARGO) build --release --bin loadgen --bin muster
	target/release/loadgen --nodes 50000 --rounds 3

peers:
	scripts/peers

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

loom:
	RUSTFLAGS="--cfg loom" $(CARGO) test --release --target-dir target/loom -p muster-broker-core --test sublist_loom --test inbox_loom

bench:
	$(CARGO) bench -p muster-benches

bench-smoke:
	$(CARGO) bench -p muster-benches -- --test

sim:
	MUSTER_SIM_SEEDS=3000 $(CARGO) test --release -p muster-sim

# Needs the nightly toolchain and cargo-fuzz; each target runs for a minute.
fuzz:
	cd fuzz && for target in $$(cargo fuzz list); do cargo +nightly fuzz run $$target -- -max_total_time=60 || exit 1; done

# A Debian and an RPM package of the one binary, with the sink for Kafka; they are in target/debian and target/generate-rpm.
packages: setup
	scripts/packages

# The Debian package on a clean Debian: a broker after one edited file.
packages-check: packages
	scripts/try-packages target/debian/muster_*.deb

# One file that runs on any Linux of this architecture, whatever C library it has.
static: setup
	scripts/static

# The playbook of contrib/ansible on this machine, below a folder of its own.
ansible-check:
	contrib/ansible/try
