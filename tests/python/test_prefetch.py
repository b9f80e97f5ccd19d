"""Records that a worker holds ahead never stand still behind one that does: no test here ends if they do."""

from __future__ import annotations

import os
import time

import pytest

import miniray

PATIENCE_S = 60


def gated(gate):
    """A function whose runs are known to be short, and which then waits for a file when it is told to."""

    @miniray.remote(max_retries=0)
    def f(wait):
        deadline = time.monotonic() + PATIENCE_S
        while wait and not gate.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the gate was never opened")
            time.sleep(0.005)
        return wait

    miniray.get([f.remote(False) for _ in range(200)])
    return f


def test_a_task_that_outlives_its_estimate_holds_up_nobody(tmp_path):
    gate = tmp_path / "gate"
    with miniray.init(num_cpus=2):
        f = gated(gate)
        refs = [f.remote(i == 0) for i in range(300)]
        assert miniray.get(refs[1:], timeout=PATIENCE_S) == [False] * 299
        assert miniray.wait(refs[:1], timeout=0)[0] == []
        gate.touch()
        assert miniray.get(refs[0]) is True


def test_a_task_that_blocks_gives_back_what_is_behind_it(tmp_path):
    gate = tmp_path / "gate"
    with miniray.init(num_cpus=1):
        f = gated(gate)

        @miniray.remote
        def parent(wait):
            return miniray.get(f.remote(True)) if wait else None

        miniray.get([parent.remote(False) for _ in range(200)])
        refs = [parent.remote(i == 0) for i in range(60)]
        late = [f.remote(False) for _ in range(60)]
        # One CPU: the parent lends it to its child, which waits; nothing else may run on it, nor be lost.
        assert miniray.wait(refs[:1], timeout=0.05)[0] == []
        gate.touch()
        assert miniray.get(refs, timeout=PATIENCE_S) == [True] + [None] * 59
        assert miniray.get(late, timeout=PATIENCE_S) == [False] * 60


@pytest.mark.parametrize("strict", ["true", "false"])
def test_strict_gives_the_same_values(tmp_path, strict):
    path = tmp_path / "miniray.ini"
    path.write_text(f"[sched]\nstrict = {strict}\n")
    with miniray.init(num_cpus=2, config=str(path)):

        @miniray.remote
        def double(x):
            return 2 * x

        assert miniray.get([double.remote(i) for i in range(500)]) == [2 * i for i in range(500)]


def test_a_burst_runs_though_the_driver_asks_for_nothing(ray, tmp_path, until):
    """Workers may be told of short tasks some at a time: of the last ones too, when nobody waits for them."""
    @ray.remote
    def mark(path):
        os.mkdir(path)

    for n in range(20):
        ray.get(mark.remote(str(tmp_path / f"known{n}")))
    for n in (1, 2, 5, 40):
        time.sleep(0.05)  # the workers sleep
        refs = [mark.remote(str(tmp_path / f"{n}-{i}")) for i in range(n)]
        until(lambda: all((tmp_path / f"{n}-{i}").exists() for i in range(n)), "the burst")
        ray.get(refs)


@pytest.mark.parametrize("strict", ["true", "false"])
def test_records_held_ahead_keep_their_order(tmp_path, strict):
    """First in, first out through batches and rings; with a policy that ranks, by rank when every start is its own decision."""
    settings, log = tmp_path / "miniray.ini", tmp_path / "log"
    settings.write_text(f"[sched]\nstrict = {strict}\n")
    with miniray.init(num_cpus=1, config=str(settings)):

        @miniray.remote
        def note(i):
            with open(log, "a") as file:
                file.write(f"{i}\n")

        @miniray.remote
        def hold(gate):
            while not gate.exists():
                time.sleep(0.002)

        def order(n, priority):
            gate = tmp_path / f"gate{n}"
            miniray.get([note.remote(-1) for _ in range(50)])  # it is known to be short
            held = hold.remote(gate)
            log.write_text("")
            refs = [note.options(priority=priority(i)).remote(i) for i in range(n)]
            gate.touch()
            miniray.get([held, *refs])
            return [int(line) for line in log.read_text().split() if line != "-1"]

        assert order(600, lambda i: 0) == list(range(600))
        if strict == "true":
            policy = tmp_path / "rank.lua"
            policy.write_text("return { rank = function(t) return -t.priority end }")
            miniray.set_policy(policy)
            assert order(200, lambda i: i % 7) == sorted(range(200), key=lambda i: (-(i % 7), i))
