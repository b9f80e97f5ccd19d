#!/bin/bash
# Formatting (clang-format), the style rules, and a build with all warnings as errors.  With --fix, formats in place.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --fix ]; then
    find core plugins bindings tests examples bench -name '*.[ch]' -not -path '*/templates/*' -print0 | xargs -0 clang-format -i
fi
cmake --preset dev >/dev/null
cmake --build --preset dev -j "$(nproc)"
python3 tests/style/check_style.py --source . --build build/dev
