"""Time slices and preemption on real workers: SIGSTOP and SIGCONT, and nothing lost by them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import miniray
from conftest import processes_of
from miniray.util import state

SLICES = "return { slice = function() return %s * ms end }"
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
def session(tmp_path):
    """A session with one CPU and a policy, given as text."""

    def start(text: str, **options):
        path = tmp_path / "policy.lua"
        path.write_text(text)
        return miniray.init(**{"num_cpus": 1, "policy": str(path), **options})

    return start


def stats() -> "dict":
    from miniray import _session

    return _session.state("stats")


def answer(n: int) -> int:
    total = 0
    for i in range(n):
        total = (total * 31 + i) % 1000003
    return total


@miniray.remote
def burn(path: str, n: int) -> int:
    """Works; says when it begins, and by whatever way it ends."""
    Path(path).touch()
    try:
        return answer(n)
    finally:
        Path(path + ".end").touch()


@miniray.remote
def hold(path: str) -> int:
    while not os.path.exists(path):
        time.sleep(0.002)
    return os.getpid()


@miniray.remote
def quick() -> int:
    return os.getpid()


LONG = 10_000_000  # some tenths of a second


@pytest.fixture
def stopped(session, tmp_path, until):
    """A long task stands still; (its reference, the urgent one that has its CPU, the file that ends that one)."""

    def make(**options):
        held = session(PREEMPTS)
        began, go = str(tmp_path / "began"), str(tmp_path / "go")
        long = burn.options(**options).remote(began, LONG)
        until(lambda: os.path.exists(began), "its start")
        urgent = hold.options(priority=5).remote(go)
        until(lambda: stats()["stopped"] == 1, "the stop")
        return held, long, urgent, Path(go)

    return make


def test_a_short_task_overtakes_a_long_one_on_one_cpu(session, tmp_path, until):
    with session(SLICES % 20):
        long = burn.remote(str(tmp_path / "began"), LONG)
        until((tmp_path / "began").exists, "its start")
        short = quick.remote()
        first, rest = miniray.wait([long, short], num_returns=1, timeout=60)
        assert first == [short] and rest == [long]
        assert miniray.get(long) == answer(LONG)
        assert stats()["stops"] >= 1 and stats()["stopped"] == 0


def test_the_urgent_one_takes_the_cpu_and_gives_it_back(stopped):
    held, long, urgent, go = stopped()
    with held:
        (row,) = [t for t in state.list_tasks(detail=True) if t.name == "burn"]
        assert row.state == "STOPPED" and "CPU" in row.waits_for
        (worker,) = [w for w in state.list_workers() if w.pid == row.worker_pid]
        assert not miniray.wait([long], timeout=0)[0]
        go.touch()
        assert miniray.get(urgent) != worker.pid  # it keeps its process
        assert miniray.get(long) == answer(LONG)
        assert stats()["stops"] == 1 and stats()["stopped"] == 0


@pytest.mark.parametrize("force", [False, True])
def test_a_cancel_reaches_one_that_stands_still(stopped, tmp_path, force):
    held, long, urgent, go = stopped(max_retries=0)
    with held:
        miniray.cancel(long, force=force)
        with pytest.raises((miniray.exceptions.TaskCancelledError, miniray.exceptions.WorkerCrashedError)):
            miniray.get(long, timeout=60)
        assert (tmp_path / "began.end").exists() != force  # its finally ran, unless it was forced
        assert not miniray.wait([urgent], timeout=0)[0]
        go.touch()
        miniray.get(urgent)
        assert miniray.get(quick.remote())


def test_one_that_is_killed_while_it_stands_still_is_tried_again(stopped):
    held, long, urgent, go = stopped()
    with held:
        (row,) = [t for t in state.list_tasks(detail=True) if t.name == "burn"]
        os.kill(row.worker_pid, signal.SIGKILL)
        go.touch()
        assert miniray.get(long) == answer(LONG) and miniray.get(urgent)
        assert stats()["retried"] == 1


def test_somebody_elses_sigcont_does_not_wake_it(stopped, until):
    held, long, urgent, go = stopped()
    with held:
        (row,) = [t for t in state.list_tasks(detail=True) if t.name == "burn"]
        for _ in range(3):
            os.kill(row.worker_pid, signal.SIGCONT)
            until(lambda: Path(f"/proc/{row.worker_pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "the stop")
        go.touch()
        assert miniray.get(long) == answer(LONG)


def test_a_session_that_ends_leaves_no_stopped_process(stopped):
    held, long, urgent, go = stopped()
    held.__exit__(None, None, None)  # nothing_left looks


DRIVER = """
import sys, time
import miniray
sys.path.insert(0, {folder!r})
from test_preemption import burn, hold, stats, LONG
import os
miniray.init(num_cpus=1, policy={policy!r})
long = burn.remote({began!r}, LONG * 100)
while not os.path.exists({began!r}):
    time.sleep(0.002)
urgent = hold.options(priority=5).remote({go!r})
while stats()["stopped"] != 1:
    time.sleep(0.002)
print("stands", flush=True)
miniray.get(urgent)
"""


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_leaves_no_stopped_process(tmp_path, until, sig):
    (tmp_path / "policy.lua").write_text(PREEMPTS)
    text = DRIVER.format(folder=os.path.dirname(__file__), policy=str(tmp_path / "policy.lua"), began=str(tmp_path / "began"), go=str(tmp_path / "go"))
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as driver:
        assert driver.stdout.readline() == b"stands\n"
        assert processes_of(driver.pid)
        time.sleep(0.5)  # it waits by now
        driver.send_signal(sig)
        driver.wait(60)
        until(lambda: not processes_of(driver.pid), "its processes")


def test_stops_and_ends_race(session):
    """Tasks of about a slice: the stop comes before, in, or after their end.  MRTEST_RACES=10000 runs more of them."""
    n = int(os.environ.get("MRTEST_RACES", "600"))

    @miniray.remote
    def about(i, ns):
        until = time.perf_counter_ns() + ns
        while time.perf_counter_ns() < until:
            pass
        return i * 7

    with session(SLICES % 1, num_cpus=2):
        refs = [about.remote(i, 500_000 + i % 40 * 40_000) for i in range(n)]
        assert miniray.get(refs) == [i * 7 for i in range(n)]
        assert stats()["stops"] > n // 30 and stats()["stopped"] == 0


def test_who_waits_streams_and_calls_gets_everything_under_slices(session):
    """Blocked tasks are not stopped, actors never; children of a stopped parent run."""

    @miniray.remote
    def parent(i):
        return sum(miniray.get([child.remote(i + k) for k in range(3)]))

    @miniray.remote
    def child(i):
        answer(20_000)
        return i

    @miniray.remote
    def items(n):
        for i in range(n):
            answer(5_000)
            yield i

    @miniray.remote
    class Counter:
        def add(self, n):
            answer(20_000)
            return n + 1

    with session(SLICES % 1, num_cpus=2):
        counter = Counter.remote()
        streams = [items.remote(20) for _ in range(3)]
        parents = [parent.remote(i) for i in range(30)]
        calls = [counter.add.remote(i) for i in range(30)]
        assert miniray.get(parents) == [3 * i + 3 for i in range(30)]
        assert miniray.get(calls) == list(range(1, 31))
        for stream in streams:
            assert [miniray.get(ref) for ref in stream] == list(range(20))
        assert stats()["stops"] > 0 and stats()["stopped"] == 0

