#!/bin/bash
# Every fuzzer of tests/fuzz for FUZZ_SECONDS (60) each, under ASan and UBSan.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
export PATH="$PWD/build/venv/bin:$PATH"
compiler=()
if command -v clang >/dev/null 2>&1; then
    compiler=(-DCMAKE_C_COMPILER=clang)
fi
cmake --preset asan -B build/fuzz -DMINIRAY_FUZZ=ON -DMINIRAY_TESTS=OFF "${compiler[@]}" >/dev/null
cmake --build build/fuzz -j "$(nproc)"
shopt -s nullglob
programs=(build/fuzz/fuzz/fuzz_*)
[ ${#programs[@]} -gt 0 ] || { echo "tests/fuzz holds no fuzzer" >&2; exit 1; }
for program in "${programs[@]}"; do
    name=$(basename "$program")
    mkdir -p "build/fuzz/corpus/$name"
    seeds=()
    case $name in
    fuzz_config) seeds=(tests/badconfig config) ;;
    *) [ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name") ;;
    esac
    echo "$name for ${FUZZ_SECONDS:-60} s"
    "$program" -max_total_time="${FUZZ_SECONDS:-60}" "build/fuzz/corpus/$name" "${seeds[@]}"
done
