# Brenda. `make run` sets everything up and serves; `make test` sets everything up and runs every test.

SHELL     := /bin/bash
CACHE     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/brenda
FUZZTIME  ?= 30s
LINT_VERSION := 2.15.0
LINT      := $(CACHE)/tools/golangci-lint-$(LINT_VERSION)
DATA      := $(or $(BRENDA_DATA),$(or $(XDG_DATA_HOME),$(HOME)/.local/share)/brenda)
PACKAGES  := ./...
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null)

.PHONY: help run build test fuzz lint fmt check bench setup setup-test clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: setup build ## Install what is missing, build, fetch the models, serve on 127.0.0.1:8080
	bin/brenda models pull
	exec bin/brenda serve

build: ## Build bin/brenda, and bin/kiosk, a client to copy from
	CGO_ENABLED=1 go build -trimpath -ldflags "-X main.release=$(VERSION)" -o bin/brenda ./cmd/brenda
	CGO_ENABLED=0 go build -trimpath -o bin/kiosk ./cmd/kiosk

test: setup-test build ## Install what is missing, fetch the test models and speech, run every test
	bin/brenda models pull --set test
	deploy/test-speech.sh "$(DATA)/speech"
	deploy/test-photos.sh "$(DATA)/photos"
	deploy/test-sdserver.sh "$(CACHE)/sd-server"
	deploy/test-files.sh "$(CACHE)/files-clients"
	deploy/test-clients.sh "$(CACHE)/clients"
	deploy/test-autobahn.sh "$(CACHE)/autobahn"
	go test -race -timeout 55m $(PACKAGES)

fuzz: ## Run every fuzzer, those of strangers' bytes for FUZZTIME (30 s)
	deploy/fuzz.sh $(FUZZTIME)

lint: $(LINT) ## Check the style and the direction of imports
	$(LINT) run --allow-parallel-runners ./...

fmt: $(LINT) ## Format the code
	$(LINT) fmt ./...

check: lint test fuzz ## What CI runs

bench: build ## Go benchmarks
	go test -run '^$$' -bench . -benchmem ./audio/... ./pipeline/... ./rest/...

setup:
	@deploy/setup.sh run

setup-test:
	@deploy/setup.sh test

$(LINT):
	mkdir -p $(dir $@)
	GOBIN=$(dir $@)tmp go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION)
	mv $(dir $@)tmp/golangci-lint $@

clean: ## Remove what build left
	rm -rf bin
