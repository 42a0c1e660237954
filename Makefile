# SPDX-License-Identifier: Apache-2.0
# The front door: a thin layer over meson and ninja. `make help` lists the targets.

BUILD ?= build
ASAN := build-asan
FUZZ := build-fuzz
COVER := build-cover
FUZZ_SECONDS ?= 60
MESON_FLAGS ?=

.PHONY: all demo demo-container check e2e soak kernels bench lint fmt fuzz cover install clean help

all: $(BUILD)/build.ninja ## build seep, memleak and the demo programs (in build/)
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) $(MESON_FLAGS)

demo: $(BUILD)/build.ninja ## the seed's case: the leak is named, the repaired program is clean
	@ninja -C $(BUILD) --quiet seep memleak demo/leak demo/fixed
	@demo/run.sh $(BUILD)

demo-container: $(BUILD)/build.ninja ## the same with the programs in a container
	@ninja -C $(BUILD) --quiet seep memleak demo/leak demo/fixed
	@demo/container.sh $(BUILD)

check: all $(ASAN)/build.ninja ## every test; the last line is `N passed, N failed, N skipped`
	@ninja -C $(ASAN)
	@tests/run --build $(BUILD) --sanitized $(ASAN)

$(ASAN)/build.ninja:
	@meson setup $(ASAN) --native-file build-dev.ini

e2e: all ## only the end-to-end tests
	@SEEP_BUILD=$(BUILD) tests/e2e/run

soak: all ## the storms that try to hurt a target, as long as they should be once before a release
	@SEEP_BUILD=$(BUILD) SEEP_SOAK=1 tests/e2e/run -k '^(harm|harm_tool|reach)\.'

kernels: all ## the demo under other kernels, in QEMU; fetches them from Debian
	@SEEP_BUILD=$(BUILD) tests/kernels/run

bench: all ## what it costs: times on this machine
	@SEEP_BUILD=$(BUILD) bench/run

lint: all ## formatting, static analysis, shell scripts, spelling, layering, sizes
	@tools/lint $(BUILD)

fmt: ## format the C files
	@tools/lint --list-c | xargs clang-format -i

fuzz: $(FUZZ)/build.ninja ## each fuzz target for FUZZ_SECONDS (60)
	@tests/fuzz/run $(FUZZ) $(FUZZ_SECONDS)

$(FUZZ)/build.ninja:
	@CC=clang meson setup $(FUZZ) -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link

cover: $(COVER)/build.ninja ## what the unit tests execute (build-cover/report/index.html)
	@ninja -C $(COVER)
	@meson test -C $(COVER) --suite unit --quiet
	@mkdir -p $(COVER)/report
	@gcovr --root . --filter src/ --exclude-unreachable-branches --html-details $(COVER)/report/index.html \
		--print-summary $(COVER)

$(COVER)/build.ninja:
	@meson setup $(COVER) -Db_coverage=true --buildtype=debug

install: all ## install (DESTDIR= and meson's options are honoured)
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove every build directory of this Makefile
	rm -rf $(BUILD) $(ASAN) $(FUZZ) $(COVER)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
