# Two commands set up a fresh machine: `make demo` and `make test`. Both install
# what they need first (scripts/bootstrap.sh says what, and only if it is missing).
.DEFAULT_GOAL := help
.PHONY: help demo test packages bench lint audit

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a real nginx, Apache and DNS server on loopback, audited
	@scripts/bootstrap.sh demo
	@scripts/with-tools demo/run.sh

test: ## the gate: format, clippy, cargo deny, all tests
	@scripts/bootstrap.sh test
	@scripts/with-tools scripts/gate.sh

packages: ## .deb and .rpm under target/packages, for glibc 2.17 and later
	@scripts/bootstrap.sh packages
	@scripts/with-tools scripts/packages.sh

lint: ## format, clippy and dependency rules alone
	@scripts/bootstrap.sh lint
	@scripts/with-tools scripts/gate.sh lint

bench: ## benches, and the comparison with other tools on 10,000 sites
	@scripts/bootstrap.sh bench
	@scripts/with-tools cargo bench --locked
	@scripts/with-tools benches/compare.sh

audit: ## known advisories of the dependencies (needs the advisory database)
	@scripts/bootstrap.sh lint
	@scripts/with-tools cargo deny --locked check
