# Every target is a few commands; what they need they install (scripts/need.sh).
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 60s
export GOFLAGS = -trimpath

.PHONY: help build demo test demo-ssh check docs pictures bench fuzz clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

build: ## build bin/tocsin; SMALL=1 leaves out what only a hub needs
	CGO_ENABLED=0 $(GO) build $(if $(SMALL),-tags small) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/tocsin ./cmd/tocsin

demo: build ## watch the attack of October 2023, invented anew, in the console
	@scripts/need.sh demo || true # it goes on without
	@bin/tocsin demo $(DEMO)

demo-ssh: build ## watch real clients guess at real OpenSSH servers (as root), or a recording
	@scripts/need.sh demo-ssh || echo "What is missing could not be installed."
	@GO="$(GO)" scripts/demo-ssh.sh

test: ## run every check and every test; as root also those with real kernels and servers
	@scripts/need.sh test
	$(MAKE) check build
	scripts/test.sh

check: ## formatting, vet, linters, module files, the console
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags small ./cmd/tocsin
	GOARCH=arm GOARM=5 $(GO) build -tags small -o /dev/null ./cmd/tocsin # old NAS: 32 bits
	$(GO) mod verify >/dev/null
	$(GO) mod tidy -diff
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	scripts/console.sh

docs: ## write docs/reference anew, from the code
	$(GO) test ./config ./api ./cmd/tocsin -run '^TestReference$$' -update

pictures: build ## take the pictures of the README anew, of a demo
	@scripts/need.sh bench
	scripts/console.sh
	node web/test/pictures.mjs bin/tocsin docs/pictures

bench: build ## measure against fail2ban, sshguard and grep; writes docs/perf.md
	@scripts/need.sh bench
	scripts/bench.sh

fuzz: ## run every fuzz target for FUZZTIME (default 60s)
	scripts/fuzz.sh $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin
