# The one front door. Thin: Meson builds, the scripts in tools/ do the rest.

T ?= json
SECONDS_EACH ?= 60

.DEFAULT_GOAL := build
.PHONY: help setup build run dev test test-quick bench fuzz asan tsan tidy fmt ci clean

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
	rm -rf build build-gcc build-clang build-asan build-tsan build-hostile build-fuzz
