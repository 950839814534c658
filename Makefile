# The one front door. Thin: Meson builds, the scripts in tools/ do the rest.

T ?= json
SECONDS_EACH ?= 60

.DEFAULT_GOAL := build
.PHONY: help setup build run dev sim sim-many sim-shrink planted test test-quick test-long bench fuzz asan tsan tidy fmt ci clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building and testing need, and the pre-commit hook
	@tools/setup.sh test
	@tools/install_hook.sh

build: ## build/tidemark and build/libtidemark.{a,so}
	@tools/setup.sh build
	@tools/build.sh product

run: build ## a server with the demo's flights, and a metric to watch; Ctrl-C ends it
	@tools/run_demo.sh

dev: ## a server that is rebuilt and restarted whenever a source file changes
	@tools/setup.sh build
	@python3 tools/dev.py

test: ## everything; the last line says how many passed, failed and were skipped
	@tools/setup.sh test
	@python3 tools/test.py all

test-quick: ## the loop before each commit: lint and the unit tests, by gcc
	@python3 tools/test.py quick

test-long: ## what takes its time: full counts, races, valgrind, fuzzing; 40 minutes at most
	@tools/setup.sh long
	@python3 tools/test.py long

sim: ## a run of the simulator: SEED=n, or TAPE=file; without either, a minute of many
	@tools/setup.sh build
	@tools/build.sh sim
	@build-sim/src/sim/tidemark-sim $(if $(TAPE),--tape $(TAPE),$(if $(SEED),--seed $(SEED),\
		--many 1000000 --first $$(date +%s)000 --seconds 60 --jobs $$(nproc))) --keep build-sim/failed

sim-many: ## N=1000 SEED=1: so many runs of the simulator, from that seed on
	@tools/setup.sh build
	@tools/build.sh sim
	@build-sim/src/sim/tidemark-sim --many $(or $(N),1000) --first $(or $(SEED),1) --jobs $$(nproc) \
		--keep build-sim/failed

sim-shrink: ## SEED=n or TAPE=file: make a failing run of the simulator short
	@tools/build.sh sim
	@build-sim/src/sim/tidemark-sim --shrink $(if $(TAPE),--tape $(TAPE),--seed $(SEED)) --keep build-sim

planted: ## bugs planted into the product, one after the other: does the simulator find them?
	@tools/setup.sh build
	@python3 tools/test.py planted

bench: ## the benchmarks, one JSON line each
	@tools/setup.sh build
	@tools/bench.sh

fuzz: ## T=json SECONDS_EACH=60: fuzz one decoder
	@tools/setup.sh fuzz
	@tools/fuzz.sh $(T) $(SECONDS_EACH)

asan: ## the unit tests under AddressSanitizer and UBSan
	@tools/setup.sh test
	@python3 tools/test.py asan

tsan: ## the unit tests under ThreadSanitizer
	@tools/setup.sh test
	@python3 tools/test.py tsan

tidy: ## clang-tidy on what changed, or on FILES='src/…'
	@tools/setup.sh fuzz
	@tools/tidy.sh $(FILES)

fmt: ## lay out all C files
	@tools/format.sh --write

ci: ## what the CI machine runs
	@.ci/run

clean: ## remove all build directories
	rm -rf build build-gcc build-clang build-asan build-tsan build-hostile build-fuzz build-plain build-sim build-sim-asan \
		build-planted
