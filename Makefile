# Carillon. `make demo` shows the main job; `make test` needs nothing but Go.

GO      ?= go
BIN     ?= bin
LDFLAGS := -s -w
AGENT   := ./agent/cmd/carillon-agent
# The agent has eight megabytes. It makes a few HTTPS calls a day, which need no
# HTTP/2, and inlining buys it nothing that a person could notice: together they
# are a megabyte. crypto is assembly either way.
SMALL   := -trimpath -tags nethttpomithttp2 -gcflags=all=-l -ldflags '$(LDFLAGS)'
AGENT_LIMIT := 8000000
CLOUD   := ./bridge/cmd/carillon-bridge ./broker/cmd/carillon-broker ./pki/cmd/carillon-pki

# Nearly everything starts goroutines, so everything is raced.
RACED   := ./...
# The packages of which a part is skipped where there is no PostgreSQL.
ON_POSTGRES := ./bridge ./bridge/store/... ./device-sim
FUZZTIME ?= 10s

CHAOS   ?= --devices 400 --rate 25 --duration 20s --expiry 30s --approve-after lognormal:6s,0.7 --deny 0.03 --ignore 0.03 \
	--kill bridge=3s,broker=6s,provider=9s,bridge=12s,broker=15s,provider=18s
STORE   ?= sqlite
BRIDGES ?= 1

.PHONY: help demo chaos test check interop bench fuzz build clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## one world on this machine: a car asks, a phone rings (ARGS=--auto approves by itself)
	@$(GO) run ./device-sim world $(ARGS)

chaos: ## a minute of load, every part killed twice; fails if a request is lost (STORE=postgres BRIDGES=2, CHAOS=flags)
	$(GO) run ./device-sim fleet --store $(STORE) --bridges $(BRIDGES) $(CHAOS)

test: ## every test that needs nothing but Go
	$(GO) test ./...
	@.ci/skipped

check: ## format, vet, staticcheck, race, import arrows, the README's commands
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -count=1 -run '^TestArrows' ./...
	$(GO) test -race -timeout 30m $(RACED)
	.ci/readme

interop: ## against mosquitto, PostgreSQL, promtool, the step CLI and oidc-provider, which it installs (Debian, root)
	.ci/peers
	PATH="$$($(GO) env GOPATH)/bin:/usr/sbin:$$PATH" CARILLON_INTEROP=1 $(GO) test -count=1 -timeout 30m -v -run '^TestInterop' ./...
	CARILLON_INTEROP=1 $(GO) test -count=1 -timeout 30m $(ON_POSTGRES)

bench: ## ratios and bytes, all measured in one run
	$(GO) test -run '^$$' -bench . -benchmem ./schemas ./bridge/... ./broker/... ./device-sim/...

fuzz: ## every fuzzer for FUZZTIME
	.ci/fuzz $(FUZZTIME)

build: ## static binaries under bin/: the agent for three architectures, the cloud's for this one
	@mkdir -p $(BIN)
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build $(SMALL) -o $(BIN)/carillon-agent-linux-amd64 $(AGENT)
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build $(SMALL) -o $(BIN)/carillon-agent-linux-arm64 $(AGENT)
	CGO_ENABLED=0 GOOS=linux GOARCH=arm GOARM=7 $(GO) build $(SMALL) -o $(BIN)/carillon-agent-linux-armv7 $(AGENT)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(CLOUD)
	@ls -l $(BIN) | awk -v limit=$(AGENT_LIMIT) 'NR>1 {printf "%10d  %s\n", $$5, $$9} \
		$$9 ~ /carillon-agent/ && $$5 > limit {printf "%s is larger than %d bytes\n", $$9, limit; bad=1} END {exit bad}'

clean: ## remove bin/
	rm -rf $(BIN)
