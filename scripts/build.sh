#!/bin/bash
# pip-installs the package into build/venv.  A stamp over the contents of everything that goes in makes a second run
# instant; the build folder is kept, so a change rebuilds only what it touches.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/build/venv/bin:$PATH"

now=$({
    find CMakeLists.txt pyproject.toml cmake core plugins bindings config labs README.md LICENSE -type f \
        ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    build/venv/bin/python -VV
} | sha256sum)
stamp=build/venv/.package
if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && build/venv/bin/python -c 'import miniray' 2>/dev/null; then
    exit 0
fi
echo "building miniray"
build/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
    --force-reinstall .
echo "$now" >"$stamp"
