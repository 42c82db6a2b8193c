# graft: `make demo` runs a whole fine-tuning on this machine; `make test` passes every test.
#
# GOTOOLCHAIN: any installed Go fetches the pinned toolchain. GOEXPERIMENT=simd: the CPU trainer is
# about 40 times faster with it. LDFLAGS never change between targets: a change rebuilds Temporal.
export GOTOOLCHAIN := go1.27.2
export GOEXPERIMENT := simd

GO      := go
STATE   ?= .graft
LDFLAGS := -s -w

.PHONY: all build demo demo-clean test check bench-orchestration interop base generate clean

all: build

build: bin/graft bin/graft-stack

bin/graft: FORCE
	@$(GO) build -ldflags '$(LDFLAGS)' -o $@ ./cmd/graft

bin/graft-stack: FORCE
	@test -e $@ || echo "building the embedded Temporal, its Web UI and the S3 server: 5 to 10 minutes the first time"
	@cd deploy/local && $(GO) build -ldflags '$(LDFLAGS)' -o ../../$@ .

FORCE:

# demo: real Parquet from Go's standard library, an SFT and a DPO adapter over the embedded base, one command.
demo: build
	@bin/graft demo --dir $(STATE)

demo-clean:
	rm -rf $(STATE)

test: bin/graft-stack bin/graft
	$(GO) test ./...
	cd deploy/local && $(GO) test ./...

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'gofmt: the files above'; exit 1; }
	$(GO) vet ./...
	cd deploy/local && $(GO) vet ./...
	$(GO) tool workflowcheck -config workflows/workflowcheck.yaml ./workflows

generate:
	$(GO) generate ./...

base:
	$(GO) run ./internal/rootstock/make

clean:
	rm -rf bin

# bench-orchestration: what Temporal and S3 cost beside `graft train` on the same data. About 10 minutes.
bench-orchestration: build
	$(GO) run ./bench/orchestration

# interop: base and published adapter against transformers and PEFT. PYTHON must have them, else it says so.
interop: build
	PYTHON=$(PYTHON) interop/run.sh

PYTHON ?= python3
