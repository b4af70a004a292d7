# Everything here is a short name for a go command; `go build ./...` and
# `go test ./...` need no make.

GO ?= go
FUZZTIME ?= 30s
PREFIX ?= /usr/local

.PHONY: help build install check test race conformance oci fuzz bench sizes

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/runsc, static and without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/runsc ./runsc

install: build ## put runsc in $(PREFIX)/bin
	install -D -m 0755 bin/runsc $(DESTDIR)$(PREFIX)/bin/runsc

check: ## format, vet, import rules and house rules: under a minute
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) test ./tools/...

test: ## all tests, as CI runs them
	$(GO) test ./...

race: ## the tests of everything below runsc, with race detector and lock order checks
	$(GO) test -race -tags lockcheck ./abi/... ./internal/... ./platform/... ./gofer/... ./sentry/...

conformance: ## system call cases and real programs: on the host, then on each platform
	$(GO) test ./test/syscalls ./test/programs

oci: ## the life cycle of containers
	$(GO) test ./test/oci/...

fuzz: ## each fuzz target for FUZZTIME
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r f; do \
		for t in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$f); do \
			echo "$$f $$t"; \
			$(GO) test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f) || exit 1; \
		done; \
	done

bench: ## Go benchmarks of every package, once
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./...

sizes: ## list the longest functions, files and packages
	$(GO) run ./tools/sizes
