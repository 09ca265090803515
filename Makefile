# One target for each job of CI; `make ci` is all of them.
CARGO ?= cargo

.PHONY: demo test e2e fmt clippy pure cloud deny advisories generate tamper fleet soak bench image ci

demo: ## The whole loop on a real API server.
	$(CARGO) build --workspace --bins
	$(CARGO) run --quiet --package miax-stage --bin miax-demo

test: ## Unit, property, CLI and repository tests, and the cluster tests on a real API server.
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --no-fail-fast -- --test-threads=2

e2e: image ## The operator from its Helm chart as real pods on a real node (Linux, root).
	$(CARGO) build --workspace --bins
	./target/debug/miax-pods target/image/miax-operator

image: ## The static program that the image holds, by the steps of the Dockerfile.
	scripts/build-static target/image

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

pure: ## Ranks 0 to 3 and the offline CLI without any client, and their tests.
	$(CARGO) clippy --package miax --no-default-features --all-targets --locked -- -D warnings

cloud: ## Archives in buckets, against a server of the test.
	$(CARGO) clippy --package miax --features cloud --lib --bins --test archive --locked -- -D warnings
	$(CARGO) test --package miax --features cloud --test archive

deny: ## Licences, sources and bans of the crates.
	$(CARGO) deny --locked check bans licenses sources

advisories: ## Known vulnerabilities of the crates; fetches the database from github.com. For a nightly job.
	$(CARGO) deny --locked check advisories

generate: ## Writes what is generated: CRDs and reference pages.
	MIAX_GENERATE=1 $(CARGO) test --package miax --test repository generated

tamper: ## Ten thousand random changes of blocks, proofs and an archive: none may be missed.
	$(CARGO) bench --profile dev --package miax --bench tamper

fleet: ## The controller at OBJECTIVES=5000, asking every SECONDS=300, and how soon a spent budget is known; one arena, as the image's allocator has.
	MALLOC_ARENA_MAX=1 $(CARGO) bench --package miax --bench fleet -- $(or $(OBJECTIVES),5000) $(or $(SECONDS),300)

soak: ## A flood of ten times the usual rate for MINUTES=5, under a small cap.
	$(CARGO) bench --package miax --bench soak -- $(or $(MINUTES),5)

bench: ## Speed, beside its targets.
	$(CARGO) bench --package miax --bench targets

ci: fmt clippy pure cloud test e2e deny
