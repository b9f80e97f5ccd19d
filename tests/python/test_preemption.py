"""Time slices and preemption on real workers: SIGSTOP and SIGCONT, and nothing lost by them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import miniray

SLICES = "return { slice = function() return {} * ms end }"
PREEMPTS = """
local function key(t) return -t.priority end
return {
  rank = key,
  preempt = function(t)
    local r, k = most(running(t), key)
    if r and k > key(t) then return r end
  end,
}
"""


@pytest.fixture
def policy(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "policy.lua"
        path.write_text(text)
        return str(path)

    return write


def stats() -> "dict":
    from miniray import _session

    return _session.state("stats")


@miniray.remote
def burn(path: str, n: int):
    """CPU-bound: some digits of a sum, and says when it began."""
    Path(path).touch()
    total = 0
    for i in range(n):
        total = (total * 31 + i) % 1000003
    return total


@miniray.remote
def quick():
    return os.getpid()


def answer(n: int) -> int:
    total = 0
    for i in range(n):
        total = (total * 31 + i) % 1000003
    return total


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_short_task_overtakes_a_long_one_on_one_cpu(policy, tmp_path):
    n = 10_000_000
    with miniray.init(num_cpus=1, policy=policy(SLICES.replace("{} *", "20 *"))):
        long = burn.remote(str(tmp_path / "began"), n)
        wait_for((tmp_path / "began").exists)
        short = quick.remote()
        first, rest = miniray.wait([long, short], num_returns=1, timeout=60)
        assert first == [short] and rest == [long]
        assert miniray.get(long) == answer(n)
        assert stats()["stops"] >= 1 and stats()["stopped"] == 0
