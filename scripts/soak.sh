#!/bin/bash
# The long run: tests/soak/*.py one after the other for SECONDS_TO_RUN (600) in all, with seeds that are printed.
set -euo pipefail
cd "$(dirname "$0")/.."
end=$((SECONDS + ${SECONDS_TO_RUN:-600}))
seed=${SEED:-1}
shopt -s nullglob
programs=(tests/soak/*.py)
if [ ${#programs[@]} -eq 0 ]; then
    programs=(tests/python) # the whole Python suite, again and again
fi
while [ $SECONDS -lt $end ]; do
    for program in "${programs[@]}"; do
        echo "seed $seed: $program"
        if [ -d "$program" ]; then
            MRTEST_SEED=$seed build/venv/bin/python -m pytest -q -x "$program"
        else
            MRTEST_SEED=$seed build/venv/bin/python "$program" --seed "$seed"
        fi
    done
    seed=$((seed + 1))
done
echo "soaked for $SECONDS s, seeds ${SEED:-1} to $((seed - 1)), nothing failed"
