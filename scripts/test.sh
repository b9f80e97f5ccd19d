#!/bin/bash
# Every test: C (dev), C under ASan and UBSan, the process engine under TSan, Python, style.
# One failure does not hide the others: all stages run, the exit status says whether any failed.
#   scripts/test.sh [STAGE...]     stages: c install sim asan tsan python      (default: all; style is part of c)
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh test || exit 1
export PATH="$PWD/build/venv/bin:$PATH"
jobs=$(nproc)
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(c install sim asan tsan python)
failed=()

configure_and_build() { # PRESET
    local log=build/$1.log
    mkdir -p build
    if ! { cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"; } >"$log" 2>&1; then
        grep -E 'error|Error|FAILED|warning' "$log" | head -40
        echo "the $1 build failed; all of it is in $log"
        return 1
    fi
}
run() { # NAME command...
    local name=$1 began=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        echo "== $name: passed in $((SECONDS - began)) s"
    else
        echo "== $name: FAILED after $((SECONDS - began)) s"
        failed+=("$name")
    fi
}
stage_c() { configure_and_build dev && ctest --preset dev -j "$jobs" --no-tests=error; }
stage_install() { configure_and_build dev && scripts/check_install.sh build/dev; }
stage_sim() { scripts/check_sim_build.sh build/simonly; }
stage_asan() { configure_and_build asan && ctest --preset asan -j "$jobs" --no-tests=error -LE style; }
stage_tsan() { configure_and_build tsan && ctest --preset tsan -j "$jobs" --no-tests=error -L process; }
stage_python() { scripts/build.sh && timeout -k 10 900 build/venv/bin/python -m pytest -q -n 2 --dist worksteal tests/python; }

for stage in "${stages[@]}"; do
    case $stage in
    c | install | sim | asan | tsan | python) run "$stage" "stage_$stage" ;;
    *) echo "unknown stage $stage: c, install, sim, asan, tsan or python" >&2; exit 2 ;;
    esac
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "all tests passed in $SECONDS s"
