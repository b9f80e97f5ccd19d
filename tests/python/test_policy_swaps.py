"""From each shipped policy to each other one and back, on real workers, while tasks wait, run and stand still.

A sample of the pairs; MRTEST_PAIRS=all tries every one, MRTEST_SEED=n another sample.
"""

import os
import random
from pathlib import Path

import miniray
from miniray import _session

SHIPPED = ["fifo", "locality", "priority", *sorted((Path(__file__).parents[2] / "config" / "policies").glob("*.lua"))]


def chosen():
    pairs = [(a, b) for a in SHIPPED for b in SHIPPED if a != b]
    wanted = os.environ.get("MRTEST_PAIRS", "24")
    return pairs if wanted == "all" else random.Random(int(os.environ.get("MRTEST_SEED", "1"))).sample(pairs, int(wanted))


def test_there_and_back_loses_nothing(ray):
    @ray.remote
    def add(*numbers):
        return sum(numbers)

    for at, (a, b) in enumerate(chosen()):
        refs, expected = [], []
        for policy in (a, b, a):
            first = [add.options(priority=k % 3, user="ab"[k % 2], deadline_s=60).remote(k, at) for k in range(12)]
            refs += [*first, add.remote(*first)]
            expected += [*(k + at for k in range(12)), sum(range(12)) + 12 * at]
            ray.set_policy(policy)
        assert ray.get(refs, timeout=60) == expected, (a, b)
        assert _session.state("stats")["degraded"] is None, (a, b)
    assert _session.state("stats")["stopped"] == 0
