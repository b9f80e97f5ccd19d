# A thin front: everything is done by scripts/ and CMake, which work without make too.
.PHONY: demo test bench lint soak fuzz build install-deps clean

demo: build          ## install what is missing, build, run the main job
	build/venv/bin/miniray demo --html build/demo.html

test:                ## the same, then every test
	scripts/test.sh

bench: build         ## measure against the alternatives on this machine
	scripts/bench.sh

lint:                ## formatting, style, compiler warnings
	scripts/lint.sh

soak: build          ## a long run; SECONDS_TO_RUN=600
	scripts/soak.sh

fuzz:                ## every fuzzer; FUZZ_SECONDS=60
	scripts/fuzz.sh

build: install-deps  ## the package, in build/venv
	scripts/build.sh

install-deps:
	scripts/bootstrap.sh

clean:
	rm -rf build
