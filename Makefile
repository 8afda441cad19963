# Two commands matter: `make run` shows Pursestring at work, `make test` proves it.
# Everything that these targets install goes to .cache/ in this folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
CACHE := $(CURDIR)/.cache
LINTER_VERSION := v2.15.0
LINTER := $(CACHE)/bin/golangci-lint-$(LINTER_VERSION)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Where the end-to-end tests find the SDKs that they run as clients.
export PURSESTRING_TEST_CLIENTS := $(CACHE)/clients

.PHONY: help run test integration lint fmt bench build ci test-deps clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

run: ## show it at work: a fake LiteLLM, the sidecar, four tenants and their agents (Ctrl-C ends it)
	$(GO) run ./cmd/pursestring demo

test: test-deps ## all tests, with the race detector; with PURSESTRING_TEST_LITELLM_URL also against that LiteLLM
	$(GO) test -race -timeout 15m ./...

integration: test-deps ## the end-to-end tests alone, against the LiteLLM of PURSESTRING_TEST_LITELLM_URL (docs/litellm-testing.md)
	PURSESTRING_REQUIRE_LITELLM=1 $(GO) test -race -timeout 15m -count=1 -v ./internal/e2e/...

lint: $(LINTER) ## formatting, imports between packages and the linters of .golangci.yml
	GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(LINTER) run ./...

fmt: $(LINTER) ## format the code
	GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(LINTER) fmt ./...

bench: ## side-by-side measurements against a bare hop; prints ratios
	$(GO) run ./bench/cmd/pursebench

build: ## bin/pursestring, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/pursestring ./cmd/pursestring

ci: ## what CI runs: tidy check, lint, test, build
	$(GO) mod tidy -diff
	$(MAKE) lint test build

test-deps: ## the official SDKs for Python and Node that the tests run as clients
	@scripts/test-deps $(PURSESTRING_TEST_CLIENTS)

clean: ## remove what the targets above have made
	rm -rf bin $(CACHE)

$(LINTER):
	@mkdir -p $(@D)
	GOBIN=$(@D) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)
	mv $(@D)/golangci-lint $@
