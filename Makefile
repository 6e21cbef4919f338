# Two commands do all the set-up: make demo and make test.
GO ?= go
DEMO ?=

.PHONY: demo test build deps sim crash powerloss fuzz bench bench-codec bench-gm bench-recon clean

# The main job end to end on this machine; DEMO="--seed 7 --exit" passes flags.
demo:
	$(GO) run ./cmd/qianzhi demo $(DEMO)

# Installs what is missing, then format, vet and all tests with the race detector.
test: deps
	@unformatted=$$(gofmt -l cmd gateway protocol adapters reconcile conf); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is needed: $$unformatted" >&2; exit 1; fi
	$(GO) vet ./... ./testdata/recon/bench
	$(GO) vet -tags odbc ./adapters/sql
	$(GO) test -race ./...
	$(GO) test -tags odbc -run ODBC ./adapters/sql
	$(GO) test ./cmd/internal/sim -run '^TestSim$$' -sim.n=300
	cd testdata/bench && $(GO) vet ./... && $(GO) test ./centre

deps:
	@.ci/deps

build:
	$(GO) build -trimpath -o bin/qianzhi ./cmd/qianzhi

# Hides the test tool's own lines and keeps its exit status.
quiet = > $$out 2>&1; s=$$?; grep -v '^\(=== \|--- \|PASS\|ok\|FAIL\|exit status\|    --- \|        --- \)' $$out; rm -f $$out; exit $$s
N ?= 1000

# Plays N seeds of the simulation; the last line is its summary.
sim:
	@out=$$(mktemp); $(GO) test -count=1 -timeout 0 -v ./cmd/internal/sim -run '^TestSim$$' -sim.n=$(N) $(quiet)

# Kills the real daemon N times under load on all links and compares the books
# with what the banks were told; the last line is a summary as JSON.
# MUTANT=reply-before-commit plants a fault that must make it fail.
MUTANT ?=
crash:
	@out=$$(mktemp); $(GO) test -count=1 -timeout 0 -v ./cmd/internal/crash -run '^TestCrash$$' -crash.n=$(N) -crash.mutant=$(MUTANT) $(quiet)

# Records the file operations of a real run and cuts the power at N random
# points; the last line is a summary as JSON.
powerloss:
	@out=$$(mktemp); $(GO) test -count=1 -timeout 0 -v ./cmd/internal/powerloss -run '^TestPowerLoss$$' -powerloss.n=$(N) $(quiet)

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	@for pkg in $$($(GO) list ./protocol/...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

# The ISO 8583 codec beside moov-io/iso8583, as ratios, once both are shown to
# read and write the same bytes. Each round is one process with all contenders;
# the best of each, which is a warm one, counts. CHECK=1 fails when a goal is missed.
ROUNDS ?= 8
CHECK ?=
bench-codec:
	@cd testdata/bench && $(GO) test -count=1 -run '^TestSameBytes$$' . && \
		for i in $$(seq $(ROUNDS)); do $(GO) test -run '^$$' -bench . -benchtime 10ms -count 6 -benchmem . || exit 1; done | \
		$(GO) run ./ratio $(if $(CHECK),-check)

# The national cryptography of an exchange, as ratios to the two libraries used
# alone, and the session mode. Each round is one process with all contenders; the
# least processor time of each counts. The last line is a summary as JSON.
# CHECK=1 fails when a goal is missed.
bench-gm:
	@for i in $$(seq $(ROUNDS)); do \
		$(GO) test -run '^$$' -bench 'Exchange$$' -benchtime 50ms -count 6 -benchmem ./protocol/gm ./protocol/secure || exit 1; done | \
		(cd testdata/bench && $(GO) run ./gmratio $(if $(CHECK),-check))

# Matching a generated day of ROWS payments beside sort | comm and DuckDB (from
# npm, where it installs) on identical files; what is found is checked. The last
# line is a summary as JSON.
ROWS ?= 1000000
bench-recon:
	$(GO) run ./testdata/recon/bench -rows $(ROWS)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf bin run
