#!/bin/bash
# Runs bench/ with the package in build/venv and its C programs, which it builds; what control and the store alone cost comes first.
# Ray comes from PyPI into an environment of its own; where it cannot be had (no network, no wheel for this Python) the
# others are still compared.  Arguments are handed on to bench/run.py.
set -euo pipefail
cd "$(dirname "$0")/.."
ray=build/ray-venv
if ! "$ray/bin/python" -c 'import ray' 2>/dev/null; then
    echo "installing Ray into $ray (once)"
    rm -rf "$ray"
    build/venv/bin/python -m venv "$ray"
    "$ray/bin/python" -m pip install --quiet --disable-pip-version-check ray numpy ||
        echo "Ray could not be installed: it is left out of the comparison" >&2
fi
build/venv/bin/python -c 'import numpy' 2>/dev/null ||
    build/venv/bin/python -m pip install --quiet --disable-pip-version-check numpy
arguments=()
if "$ray/bin/python" -c 'import ray' 2>/dev/null; then
    arguments+=(--ray "$ray/bin/python")
fi
cmake --preset release >/dev/null
cmake --build --preset release --target bench >/dev/null
arguments+=(--native build/release/bench)
build/release/bench/control_bench
build/venv/bin/python bench/policy.py
build/release/bench/store_bench build/release/plugins/store-shm.so
build/release/bench/first_touch build/release/plugins/store-shm.so 200 3 0.3 # what is possible, beside ours
exec build/venv/bin/python bench/run.py --json build/bench.json "${arguments[@]}" "$@"
