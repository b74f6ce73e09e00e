# The commands that the project keeps working; see README.md.
# Fixtures are kept in the user's cache and linked into target/fixtures.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: build preload fixtures demo test unit e2e e2e-waiting e2e-working suites stress bench race fuzz corpus corpus-bounded node-long node-cost lint audit clean

CARGO := cargo
PATCHER := target/release/procsys-patch

build: preload
	$(CARGO) build --release --locked -p procsys-patcher

# target/preload/libprocsys.so (preload/.cargo/config.toml says how), and beside it
# libprocsys-go.so, which it loads into Go programs, and libprocsys-rules.so, which
# reads rules that are not compiled. libprocsys-whole.so is the same with the rules of
# all profiles, and larger.
preload:
	cd preload && $(CARGO) so && $(CARGO) so-whole
	cp target/whole/preload/libprocsys.so target/preload/libprocsys-whole.so
	$(CARGO) build --release --locked -p procsys-preload-go -p procsys-preload-rules
	cp target/release/libprocsys_go.so target/preload/libprocsys-go.so
	cp target/release/libprocsys_rules_file.so target/preload/libprocsys-rules.so

fixtures:
	tests/fixtures/build.sh

# The seed of it all, with no more fixtures than it takes.
demo: build
	tests/fixtures/build.sh rootfs runsc-20240729 runc-current
	tests/demo.sh

# Everything.
test: lint unit e2e fuzz

unit: fixtures
	$(CARGO) test --locked --release --no-fail-fast -p procsys-rules --features procsys-rules/toml -p procsys-hook -p procsys-patcher -p procsys-preload
	$(CARGO) test --locked --release --no-fail-fast -p procsys-hook --no-default-features

# The end-to-end tests share sandboxes and cgroups, so one at a time; but some
# mostly wait (a node that stays up, suites that sleep), and run beside the others.
WAITING := kubelet_gvisor preload_suites shell_suites
WORKING := $(filter-out $(WAITING),$(basename $(notdir $(wildcard tests/tests/*.rs))))
E2E := $(CARGO) test --locked --release --no-fail-fast -p procsys-tests

e2e: build fixtures
	$(E2E) --no-run
	$(MAKE) --no-print-directory --jobs=2 --keep-going e2e-waiting e2e-working

e2e-waiting:
	@echo "beside the others, and printed when they have ended: $(WAITING)"
	@$(E2E) $(WAITING:%=--test %) -- --test-threads=1 --nocapture >target/e2e-waiting.log 2>&1; \
	    code=$$?; cat target/e2e-waiting.log; exit $$code

e2e-working:
	$(E2E) --lib $(WORKING:%=--test %) -- --test-threads=1 --nocapture

# The races of docs/safe-procfs-matrix.md at full length (some minutes).
race: build fixtures
	RACE_TRIES=100000 $(CARGO) test --locked --release -p procsys-tests --test safe_procfs_attacks no_race -- --nocapture

# Other people's test suites, whole, in every way (make test runs a part).
suites: build fixtures
	PROCSYS_SUITES=whole $(CARGO) test --locked --release --no-fail-fast -p procsys-tests --test go_suites --test shell_suites --test python_suites --test preload_suites -- --test-threads=1 --nocapture

# Ten minutes of all hazards at once (make test runs some seconds).
stress: build fixtures
	PROCSYS_STRESS_SECONDS=600 $(CARGO) test --locked --release -p procsys-tests --test stress -- --nocapture

bench: build fixtures
	$(CARGO) run --locked --release -p procsys-benches

# Coverage-guided, each target for FUZZ_SECONDS; docs/fuzzing.md. The mutator that
# knows the formats is one of the unit tests (patcher/tests/hostile_input.rs).
FUZZ_SECONDS := 6
fuzz:
	fuzz/build.sh
	fuzz/run.sh $(FUZZ_SECONDS)

# Every static program that can be had; writes docs/corpus.md. The bounded form,
# some thirty of them, is a part of make test, and writes nothing.
corpus: build fixtures
	tests/fixtures/build.sh corpus-full
	PROCSYS_CORPUS=full $(CARGO) test --locked --release -p procsys-tests --test corpus -- --nocapture

corpus-bounded: build fixtures
	$(CARGO) test --locked --release -p procsys-tests --test corpus -- --nocapture

# Half an hour of a patched node in gVisor; `make test` watches it for three minutes.
node-long: build fixtures
	PROCSYS_NODE_SECONDS=1800 $(CARGO) test --locked --release -p procsys-tests --test kubelet_gvisor -- --nocapture

# CPU time of an idle node in gVisor: patched, with mounts, under ptrace (25 minutes).
node-cost: build fixtures
	$(CARGO) run --locked --release -p procsys-benches -- node

lint:
	$(CARGO) fmt --all --check
	rustfmt --edition 2024 --check patcher/shim/main.rs
	cd fuzz && $(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy --locked -p procsys-hook -p procsys-preload --no-default-features -- -D warnings

# Licences, duplicates, sources (deny.toml), then advisories, whose database is
# fetched; run when dependencies change. AUDIT_OFFLINE=1 leaves the last out.
audit:
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check licenses bans sources
	@if [ -n "$(AUDIT_OFFLINE)" ]; then \
	    echo 'audit: AUDIT_OFFLINE is set: advisories were NOT checked'; \
	else \
	    $(CARGO) deny --locked check advisories || { \
	        echo 'audit: advisories were found, or their database cannot be reached (see above); AUDIT_OFFLINE=1 leaves them out' >&2; \
	        exit 1; \
	    }; \
	fi

clean:
	$(CARGO) clean
