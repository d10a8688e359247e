# Two commands are enough: `go run ./cmd/log-service server` runs the server,
# `make test` passes all tests. Both need Go, git and make, nothing else.

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .cache/bin/golangci-lint-$(GOLANGCI_VERSION)

# The object stores that the tests talk to. The tests find them by these lines
# (internal/store/s3/s3test). MinIO takes minutes to build, once.
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW_VERSION := v1.8.0
STORES := .cache/bin/minio-$(MINIO_VERSION) .cache/bin/versitygw-$(VERSITYGW_VERSION)

# Other people's clients, for tests (e2e).
GRPCURL_VERSION := v1.9.3
GRPCURL := .cache/bin/grpcurl-$(GRPCURL_VERSION)
NODE_GRPC := .cache/node-grpc/node_modules/.package-lock.json
NODE_BROWSER := .cache/browser/node_modules/.package-lock.json

# Tools that check the project and make its releases.
GOVULNCHECK := .cache/bin/govulncheck-v1.9.0
CYCLONEDX := .cache/bin/cyclonedx-gomod-v1.10.0
ACTIONLINT := .cache/bin/actionlint-v1.7.12

# Releases are made with this Go, which has the latest fixes of the standard
# library, and checked for vulnerabilities with it.
RELEASE_GO := go1.26.10
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
CLI := github.com/harness/log-service/internal/cli
LDFLAGS := -X $(CLI).version=$(VERSION) -X $(CLI).commit=$(COMMIT)

# bench and client/clienttest are modules of their own, so that nobody who uses
# the client or the server needs what they need. go.work joins them: commands of
# Go at the root see all of them, but ./... is this module only.
MODULES := . bench client/clienttest
PACKAGES := $(MODULES:%=./%/...)

# The race detector needs a C compiler.
CC ?= cc
ifneq ($(shell command -v $(CC) 2>/dev/null),)
RACE := -race
endif

.PHONY: help build release test test-long check vuln generate fuzz bench bench-quick clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build the static program under both its names into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...

release: $(CYCLONEDX) ## build the static, stripped programs of a release into dist/, with checksums, licenses and bills of materials
	rm -rf dist && mkdir dist
	@set -e; export GOTOOLCHAIN=$(RELEASE_GO); for platform in $(PLATFORMS); do \
		$(MAKE) --no-print-directory release-program PLATFORM=$$platform; \
	done
	@set -e; for program in dist/log-service-*; do \
		$(CYCLONEDX) bin -json -licenses -noserial -version $(VERSION) -output $$program.cdx.json $$program; \
	done
	go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/log-service | sort -u | \
		while read -r module version dir; do \
			for license in "$$dir"/LICENSE* "$$dir"/LICENCE* "$$dir"/COPYING* "$$dir"/NOTICE*; do \
				! [ -f "$$license" ] || { printf '\n%s %s\n\n' "$$module" "$$version"; cat "$$license"; }; \
			done; \
		done > dist/THIRD_PARTY_LICENSES
	cp LICENSE NOTICE dist/
	cd dist && sha256sum * > SHA256SUMS

# A program of a release, for PLATFORM. It is one program under two names: a
# link to it that is called log-server is log-server.
DIST := dist
.PHONY: release-program
release-program: os = $(firstword $(subst /, ,$(PLATFORM)))
release-program: arch = $(lastword $(subst /, ,$(PLATFORM)))
release-program:
	GOOS=$(os) GOARCH=$(arch) CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $(LDFLAGS)" \
		-o $(DIST)/log-service-$(os)-$(arch)$(if $(filter windows,$(os)),.exe) ./cmd/log-service

# Without this every program with the race detector sleeps for a second before
# it ends, for races in goroutines that it has left behind. Ours leave none.
export GORACE ?= atexit_sleep_ms=0

# Tests mostly wait, for disks and other programs: so more packages are tested at
# a time than there are processors.
TESTS_AT_A_TIME ?= 4

# These start the program, hundreds of times, which takes three times as long with
# the race detector. What runs in one process is tested with it; test-long has it
# everywhere.
PROGRAM_TESTS := ./e2e ./internal/cli

test: race-detector test-servers ## run all tests (seven minutes on two cores)
	go vet $(PACKAGES)
	@$(MAKE) --no-print-directory -j 2 -k test-packages test-program

.PHONY: test-packages test-program
test-packages:
	all=$$(go list $(PACKAGES)) && program=$$(go list $(PROGRAM_TESTS)) && \
		go test -vet=off $(RACE) -p $$(($(TESTS_AT_A_TIME) - 1)) -timeout 20m $$(echo "$$all" | grep -vxF "$$program")
test-program:
	go test -vet=off -p 1 -timeout 20m $(PROGRAM_TESTS)

test-long: race-detector test-servers ## run all tests with the long ones: fifty kills, a million lines, a gigabyte (an hour)
	LOG_SERVICE_TEST_LONG=1 go test $(RACE) -p $(TESTS_AT_A_TIME) -timeout 120m $(PACKAGES)

.PHONY: race-detector
race-detector:
ifndef RACE
	@echo "WARNING: no C compiler ($(CC)): the tests run WITHOUT the race detector" >&2
	@test "$$CI" != true
endif

.PHONY: test-servers
test-servers: ## install the servers that the tests talk to (without them their tests are skipped, and fail where CI=true)
	@$(MAKE) --no-print-directory $(STORES) || { echo "WARNING: the object stores cannot be installed: their tests are SKIPPED" >&2; test "$$CI" != true; }
	@$(MAKE) --no-print-directory $(GRPCURL) $(NODE_GRPC) $(NODE_BROWSER) || { echo "WARNING: grpcurl, or the packages of Node.js, cannot be installed: their tests are SKIPPED" >&2; test "$$CI" != true; }

$(GRPCURL):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
	mv .cache/bin/grpcurl $@

$(NODE_GRPC): e2e/testdata/node/package-lock.json
$(NODE_BROWSER): e2e/testdata/browser/package-lock.json
$(NODE_GRPC) $(NODE_BROWSER):
	mkdir -p $(@D)/..
	cp $(<D)/package.json $< $(@D)/..
	cd $(@D)/.. && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

.cache/bin/minio-$(MINIO_VERSION):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/minio/minio@$(MINIO_VERSION)
	mv .cache/bin/minio $@

.cache/bin/versitygw-$(VERSITYGW_VERSION):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION)
	mv .cache/bin/versitygw $@

check: $(GOLANGCI) check-proto check-platforms check-project ## lint, and check the format, the module file and the generated code
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "not formatted: run gofmt -w" >&2; exit 1; }
	set -e; for module in $(MODULES); do \
		go -C $$module mod tidy -diff; \
		(cd $$module && $(CURDIR)/$(GOLANGCI) run -c $(CURDIR)/.golangci.yml ./...); \
	done

# The program for other systems, and its tests: they are not run, but compile.
# And a program of a release names its commit.
HOST = $(shell go env GOOS)/$(shell go env GOARCH)
.PHONY: check-platforms
check-platforms:
	GOOS=windows go vet $(PACKAGES)
	GOOS=darwin go vet $(PACKAGES)
	@$(MAKE) --no-print-directory release-program PLATFORM=windows/arm64 DIST=.cache/dist
	@$(MAKE) --no-print-directory release-program PLATFORM=$(HOST) DIST=.cache/dist
	.cache/dist/log-service-$(subst /,-,$(HOST)) version | grep -F "$(VERSION) (commit $(COMMIT)"

# Whatever is not Go: the workflows, and that what they name is pinned.
.PHONY: check-project
check-project: $(ACTIONLINT)
	$(ACTIONLINT)
	.ci/pinned

vuln: $(GOVULNCHECK) ## compare the code with the database of known vulnerabilities
	GOTOOLCHAIN=$(RELEASE_GO) .ci/vuln $(GOVULNCHECK) ./...

# A module file of its own does not go together with a workspace.
BUF := GOWORK=off go tool -modfile=buf.mod buf

generate: ## generate the Go code of proto/
	$(BUF) generate

# Old clients must keep working, so the definition is held against that of the
# last release, or else of the last commit; a shallow clone has this one only.
.PHONY: check-proto
check-proto:
	$(BUF) lint
	rm -rf .cache/proto && mkdir -p .cache/proto/generated .cache/proto/before
	$(BUF) generate -o .cache/proto/generated
	@cd .cache/proto/generated && find . -name '*.go' | while read -r f; do \
		diff -u "../../../$$f" "$$f" || { echo "$$f is not what its definition says: run make generate" >&2; exit 1; }; \
	done
	@base=$$(git describe --tags --abbrev=0 2>/dev/null || git rev-parse -q --verify HEAD~1 || git rev-parse HEAD); \
	if git cat-file -e "$$base:proto" 2>/dev/null; then \
		git archive "$$base" proto buf.yaml | tar -x -C .cache/proto/before && \
		echo "$(BUF) breaking --against $$base" && $(BUF) breaking --against .cache/proto/before; \
	else echo "$$base has no proto/ to compare with"; fi

$(GOVULNCHECK):
	GOBIN=$(CURDIR)/.cache/bin go install golang.org/x/vuln/cmd/govulncheck@$(@:.cache/bin/govulncheck-%=%)
	mv .cache/bin/govulncheck $@

$(CYCLONEDX):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(@:.cache/bin/cyclonedx-gomod-%=%)
	mv .cache/bin/cyclonedx-gomod $@

$(ACTIONLINT):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/rhysd/actionlint/cmd/actionlint@$(@:.cache/bin/actionlint-%=%)
	mv .cache/bin/actionlint $@

$(GOLANGCI):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv .cache/bin/golangci-lint $@

FUZZTIME ?= 30s
fuzz: ## run every fuzz target for FUZZTIME (30s)
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
		sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$$f" | while read -r t; do \
			go test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$f")" || exit 1; \
		done || exit 1; \
	done

bench: test-servers ## measure everything, into bench/results (half an hour)
	go run ./bench -report bench/results/$$(date +%F).md

bench-quick: test-servers ## measure the main figures (two minutes)
	go run ./bench -quick

clean: ## remove what make made
	rm -rf bin dist .cache
