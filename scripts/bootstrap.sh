#!/bin/bash
# Gets a bare Debian-like machine ready: compilers and libraries by apt, a Python >= 3.10 with headers, and build/venv with
# the build tools.  Quick when there is nothing to do.  Without root or sudo it names what is missing and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { # need PACKAGE COMMAND...: the package, if the command fails
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
need gcc command -v gcc
need make command -v make
need ninja-build command -v ninja
need pkg-config command -v pkg-config
need libc6-dev test -e /usr/include/stdio.h
need liblua5.4-dev sh -c 'pkg-config --exists lua5.4 || pkg-config --exists lua-5.4 || pkg-config --exists lua54'
need libinih-dev pkg-config --exists inih
need libxxhash-dev pkg-config --exists libxxhash
need liblz4-dev pkg-config --exists liblz4
need libzstd-dev pkg-config --exists libzstd
need libcjson-dev pkg-config --exists libcjson
need check pkg-config --exists check
need uthash-dev test -e /usr/include/uthash.h
need cmake command -v cmake

# The first Python that is new enough and can both build an extension and make a virtual environment.
python_works() {
    "$1" - <<'PY' >/dev/null 2>&1
import ensurepip, os, sys, sysconfig, venv
assert sys.version_info >= (3, 10)
assert os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))
PY
}
find_python() {
    local p
    for p in ${BUILD_PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3 \
        "$HOME"/.pyenv/versions/3.1[0-9]*/bin/python3; do
        if command -v "$p" >/dev/null 2>&1 && python_works "$p"; then
            command -v "$p"
            return 0
        fi
    done
    return 1
}
python=$(find_python) || missing+=(python3 python3-dev python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "miniray needs these Debian packages, or what your system calls them: ${missing[*]}" >&2
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=()
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=(sudo)
    else
        echo "These packages are missing, and this user is neither root nor has sudo:" >&2
        echo "    apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "installing: ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq ||
        echo "apt-get update failed; trying with the lists that are there" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    python=${python:-$(find_python)} || {
        echo "no Python >= 3.10 with headers and venv was found, even after installing python3-dev and python3-venv;" \
            "set BUILD_PYTHON to one" >&2
        exit 1
    }
fi

# The virtual environment, made anew when its Python is gone.
if ! build/venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    rm -rf build/venv
    mkdir -p build
    "$python" -m venv build/venv
fi
tools=("scikit-build-core>=0.10" "cloudpickle>=3.0" "click>=8.0" "rich>=13.0" "tree-sitter>=0.23" "tree-sitter-lua>=0.2")
if [ "$(printf '%s\n' 3.25 "$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*//p')" | sort -V | head -1)" != 3.25 ]; then
    tools+=("cmake>=3.25")
fi
if [ "${1:-}" = test ]; then
    tools+=("pytest>=7" "pytest-xdist>=3.6" "hypothesis>=6" "mypy>=1.18" "numpy>=1.24" "joblib>=1.3" "scikit-learn>=1.3" "dask[array]>=2024.12" "pandas>=2.0" "matplotlib>=3.7" "nbclient>=0.10" "ipykernel>=6")
    # CPython's own tests of executors; without them, the test that runs them is skipped and says so.
    minor=$(build/venv/bin/python -c 'import sys; print("3.%d" % sys.version_info[1])')
    if ! build/venv/bin/python -c 'import test.test_concurrent_futures' 2>/dev/null &&
        ! ls /usr/lib/python"$minor"/test/test_concurrent_futures* >/dev/null 2>&1 &&
        [ "$(id -u)" = 0 ] && apt-cache show "libpython$minor-testsuite" >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "libpython$minor-testsuite" >/dev/null ||
            echo "libpython$minor-testsuite could not be installed: CPython's tests of executors will be skipped" >&2
    fi
fi
stamp=build/venv/.tools-${1:-base}
if [ "$(cat "$stamp" 2>/dev/null)" != "${tools[*]}" ]; then
    build/venv/bin/python -m pip install --quiet --disable-pip-version-check "${tools[@]}"
    echo "${tools[*]}" >"$stamp"
fi
