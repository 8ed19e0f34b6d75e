# Caddy's own Badger, MySQL and PostgreSQL modules are left out: 30 MB less.
TAGS := -tags nobadger,nomysql,nopgx
# The race detector needs a C compiler.
RACE := $(shell command -v cc >/dev/null 2>&1 && echo -race)

.PHONY: build release demo test allocations mutants prove bench bench-postgres chaos scale fuzz vuln lint soak

# What farebox version and /meter/health print.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)

build: ; CGO_ENABLED=0 go build -trimpath -buildvcs=false $(TAGS) -ldflags "-s -w -buildid= -X github.com/farebox-dev/farebox.stamped=$(VERSION)" -o bin/farebox ./cmd/farebox

# Archives, bills of materials and checksums of a commit in dist/, the same bytes each time.
release: ; go run ./internal/release $(if $(TARGETS),-targets $(TARGETS))

demo: build ; bin/farebox meter demo

test:
	go vet $(TAGS) ./...
	go test $(TAGS) $(RACE) -short ./meter/... # sweeps and simulation in full below, without the race detector
	go test $(TAGS) -run Allocations ./meter ./meter/dialect ./meter/pricing ./meter/writer # not with the race detector, which allocates, too
	go test $(TAGS) -v -run 'Simulation|SmallScope|Order|Sweep|Big' ./meter/ledger ./meter/calendar ./meter/money
	.ci/fuzz 2s # every fuzzer of the repository: a minute
	go test $(TAGS) -timeout 20m . ./docs/... ./internal/... ./caddymodule/... ./integration/...

# Everything at once for an hour: clients of all sorts, streams, sockets, jobs, new prices,
# reloads, restarts, kills, full and frozen disks, backups and restores.
SOAK ?= 60m
soak: ; FAREBOX_RANDOM=1 FAREBOX_SOAK=$(SOAK) go test $(TAGS) -count 1 -timeout 3h -v -run TestSoak ./integration

# The baseline of TestAllocationsOfHotPaths, testdata/allocations.txt, as it is now.
allocations: ; FAREBOX_ALLOCATIONS=update go test $(TAGS) -count 1 -p 1 -run AllocationsOfHotPaths ./meter ./meter/dialect ./meter/pricing ./meter/writer ./caddymodule

# Mistakes that the tests must catch, each made in turn: a quarter of an hour.
mutants:
	FAREBOX_MUTANTS=all go test -timeout 1h -v -run TestMutants ./internal/mutants

# The long form of the proofs: hours, not minutes.
prove:
	FAREBOX_RANDOM=1 GOGC=2000 FAREBOX_SIM_STEPS=100000000 go test $(TAGS) -timeout 12h -v -run Simulation ./meter/ledger
	FAREBOX_RANDOM=1 FAREBOX_LONG=1 FAREBOX_FLIPS=600 FAREBOX_POWER_CUTS=300 go test $(TAGS) -timeout 6h -v \
	  -run 'Flips|FaultMatrix|SmallScope|PowerCuts|Order|Sweep' ./meter/writer ./meter/ledger ./meter/store/badger ./meter/calendar ./meter/money
	FAREBOX_RANDOM=1 FAREBOX_KILL_ROUNDS=2000 FAREBOX_UPGRADES=20 FAREBOX_LONG=1 go test $(TAGS) -timeout 6h -v -run 'Kill|Upgrade|Xcaddy' ./integration

bench: build ; go run ./integration/bench

# Gateways that share a ledger in PostgreSQL, next to a transaction for each operation.
bench-postgres: ; go run $(TAGS) ./integration/benchpg

# Three gateways and their database fail at random for 20 minutes.
chaos: ; FAREBOX_RANDOM=1 FAREBOX_CHAOS=20m go test $(TAGS) -timeout 1h -v -run TestChaos ./integration

# A million accounts and a year of ten million charges: an hour, and 20 GB of disk.
scale: build ; go run ./integration/scale

FUZZ_TIME ?= 1m
fuzz: ; .ci/fuzz $(FUZZ_TIME)

# Known vulnerabilities in what is called; needs the database at vuln.go.dev.
vuln: ; go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 $(TAGS) ./...

lint: ; go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.6.2 run
