"""Cancelling: wherever a task is, once, and nothing else with it."""

import asyncio
import os
import random
import time

import pytest

import miniray

CANCELLED = miniray.exceptions.TaskCancelledError


@miniray.remote
def started(path):
    open(path, "w").close()
    time.sleep(60)


@miniray.remote
def brief(i):
    return i * 3


@miniray.remote
def brief_loop(i):
    for _ in range(i % 50):
        pass
    return i * 3


def test_races(ray):
    """Each of 20,000 cancelled tasks ends as its value or as cancelled, and none of those beside them is struck."""
    rand = random.Random(20)
    cancelled = values = 0
    for round_ in range(50):
        refs = [(brief if i % 2 else brief_loop).remote(i) for i in range(800)]
        chosen = set(rand.sample(range(800), 400))
        order = list(chosen)
        if round_ % 3:
            rand.shuffle(order)
        for i in order:
            ray.cancel(refs[i])
        for i, ref in enumerate(refs):
            try:
                assert ray.get(ref, timeout=60) == i * 3
                values += 1
            except CANCELLED:
                assert i in chosen, "a task that nobody cancelled was struck"
                cancelled += 1
    assert cancelled + values == 40000 and values >= 20000
    assert ray.get(brief.remote(5)) == 15


def test_races_with_what_runs(ray):
    """The one that runs is cancelled, again and again: it or nothing."""
    rand = random.Random(7)
    struck = 0
    for _ in range(1500):
        first, second, third = brief_loop.remote(49), brief.remote(1), brief.remote(2)
        for _ in range(rand.randrange(200)):
            pass
        ray.cancel(first)
        try:
            assert ray.get(first, timeout=60) == 147
        except CANCELLED:
            struck += 1
        assert ray.get([second, third], timeout=60) == [3, 6]


def test_in_a_loop_of_python(ray, tmp_path, until):
    @ray.remote
    def spin(path):
        open(path, "w").close()
        n = 0
        while True:
            n += 1

    ref = spin.remote(tmp_path / "up")
    until((tmp_path / "up").exists)
    ray.cancel(ref)
    with pytest.raises(CANCELLED):
        ray.get(ref, timeout=20)


def test_in_a_nested_get_and_recursive(ray, tmp_path, until):
    @ray.remote
    def parent(path):
        return miniray.get(started.remote(path))

    ref = parent.remote(str(tmp_path / "child"))
    until((tmp_path / "child").exists)
    ray.cancel(ref)
    with pytest.raises(CANCELLED):
        ray.get(ref, timeout=20)
    until(lambda: ray.available_resources()["CPU"] == 2, "the end of the child")


def test_not_recursive(ray, tmp_path, until):
    @ray.remote
    def child(path, go):
        open(path, "w").close()
        while not os.path.exists(go):
            time.sleep(0.01)
        open(path + ".done", "w").close()

    @ray.remote
    def parent(path, go):
        return miniray.get(child.remote(path, go))

    path, go = str(tmp_path / "child"), tmp_path / "go"
    ref = parent.remote(path, str(go))
    until((tmp_path / "child").exists)
    ray.cancel(ref, recursive=False)
    with pytest.raises(CANCELLED):
        ray.get(ref, timeout=20)
    go.touch()
    until((tmp_path / "child.done").exists)


def test_prefetched_and_queued(ray, tmp_path, until):
    ray.get([brief.remote(i) for i in range(200)])  # their time is known now: some are sent ahead

    @ray.remote
    def nap(path):
        open(path, "w").close()
        time.sleep(0.5)
        return "slept"

    naps = [nap.remote(str(tmp_path / f"up{i}")) for i in range(2)]
    behind = [brief.remote(i) for i in range(100)]
    for i in range(2):
        until((tmp_path / f"up{i}").exists)
    for ref in behind[::2]:
        ray.cancel(ref)
    ran = 0
    for i, ref in enumerate(behind):
        try:
            assert ray.get(ref, timeout=20) == i * 3
            ran += 1
        except CANCELLED:
            assert i % 2 == 0
    assert ran >= 50
    assert ray.get(naps, timeout=20) == ["slept"] * 2


def test_waiting_for_an_argument(ray, tmp_path, until):
    slow = started.remote(str(tmp_path / "up"))
    waits = brief.remote(slow)
    ray.cancel(waits)
    with pytest.raises(CANCELLED):
        ray.get(waits, timeout=20)
    until((tmp_path / "up").exists)
    ray.cancel(slow)
    with pytest.raises(CANCELLED):
        ray.get(slow, timeout=20)


def test_by_another_holder_and_the_dependents(ray, tmp_path, until):
    @ray.remote
    def cancels(refs):
        miniray.cancel(refs[0])

    ref = started.remote(str(tmp_path / "up"))
    after = brief.remote(ref)
    until((tmp_path / "up").exists)
    ray.get(cancels.remote([ref]))
    for r in (ref, after):
        with pytest.raises(CANCELLED):
            ray.get(r, timeout=20)


def test_a_cancelled_task_is_not_tried_again(ray, tmp_path, until):
    @ray.remote(max_retries=5, retry_exceptions=True)
    def counts(path):
        with open(path, "a") as f:
            f.write("x")
        time.sleep(60)

    path = tmp_path / "runs"
    ref = counts.remote(str(path))
    until(lambda: path.exists() and path.read_text() == "x")
    ray.cancel(ref)
    with pytest.raises(CANCELLED):
        ray.get(ref, timeout=20)
    assert ray.get(brief.remote(1)) == 3 and path.read_text() == "x"


@miniray.remote
class Actor:
    def __init__(self):
        self.calls = []

    def sleep(self, path):
        open(path, "w").close()
        time.sleep(60)

    def add(self, i):
        self.calls.append(i)
        return i

    def seen(self):
        return self.calls


def test_queued_at_an_actor_and_running_there(ray, tmp_path, until):
    actor = Actor.remote()
    running = actor.sleep.remote(str(tmp_path / "up"))
    refs = [actor.add.remote(i) for i in range(50)]
    until((tmp_path / "up").exists)
    with pytest.raises(ValueError, match="force"):
        ray.cancel(running, force=True)
    for ref in refs[::2]:
        ray.cancel(ref)
    ray.cancel(running)
    with pytest.raises(CANCELLED):
        ray.get(running, timeout=20)
    for i, ref in enumerate(refs):
        if i % 2:
            assert ray.get(ref, timeout=20) == i
        else:
            with pytest.raises(CANCELLED):
                ray.get(ref, timeout=20)
    assert ray.get(actor.seen.remote()) == list(range(1, 50, 2))


def test_awaiting_in_an_async_actor(ray, tmp_path, until):
    @ray.remote
    class Async:
        def __init__(self):
            self.cancelled = 0

        async def wait(self, path):
            open(path, "w").close()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

        async def count(self):
            return self.cancelled

    actor = Async.remote()
    refs = [actor.wait.remote(str(tmp_path / f"{i}")) for i in range(10)]
    for i in range(10):
        until((tmp_path / f"{i}").exists)
    for ref in refs[:9]:
        ray.cancel(ref)
    for ref in refs[:9]:
        with pytest.raises(CANCELLED):
            ray.get(ref, timeout=20)
    assert ray.get(actor.count.remote(), timeout=20) == 9
    assert ray.wait(refs[9:], timeout=0) == ([], refs[9:])
    ray.cancel(refs[9])
    with pytest.raises(CANCELLED):
        ray.get(refs[9], timeout=20)


def test_a_generator_is_cut(ray, until):
    @ray.remote
    def numbers():
        i = 0
        while True:
            yield i
            i += 1
            time.sleep(0.01)

    stream = numbers.remote()
    assert [ray.get(next(stream)) for _ in range(3)] == [0, 1, 2]
    ray.cancel(stream)
    with pytest.raises((CANCELLED, StopIteration)):
        for _ in range(100000):
            ray.get(next(stream))
    until(lambda: ray.available_resources()["CPU"] == 2, "the end of the producer")


def test_what_ignores_a_cancel_is_killed_after_the_grace(tmp_path, until, monkeypatch):
    monkeypatch.setenv("MINIRAY_ENGINE_GRACE", "300ms")
    miniray.init(num_workers=2)
    try:
        @miniray.remote(max_retries=3)
        def stubborn(path):
            with open(path, "a") as f:
                f.write("x")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass

        @miniray.remote(max_retries=3)
        def in_c(path):
            with open(path, "a") as f:
                f.write("x")
            return sum(range(10**12))  # looks for signals when it is through

        for function, path in ((stubborn, tmp_path / "a"), (in_c, tmp_path / "b")):
            ref = function.remote(str(path))
            until(lambda path=path: path.exists() and path.read_text() == "x")
            miniray.cancel(ref)
            with pytest.raises(CANCELLED):
                miniray.get(ref, timeout=20)
            assert path.read_text() == "x"
        assert miniray.get(brief.remote(2), timeout=20) == 6
    finally:
        miniray.shutdown()


def test_a_cancel_right_after_submission_is_not_lost(monkeypatch):
    """The worker may not have begun: then the record is taken back.  Nothing is killed after a grace to mend it."""
    monkeypatch.setenv("MINIRAY_ENGINE_GRACE", "600s")
    with miniray.init(num_cpus=1):

        @miniray.remote(max_retries=0)
        def f(wait):
            while wait:
                time.sleep(0.005)

        miniray.get([f.remote(False) for _ in range(200)])
        for _ in range(20):
            refs = [f.remote(i == 0) for i in range(60)]
            miniray.cancel(refs[0])
            miniray.get(refs[1:], timeout=60)
            with pytest.raises(miniray.exceptions.TaskCancelledError):
                miniray.get(refs[0])


def test_threads_of_an_actor_that_wait(tmp_path, until):
    """A thread cannot be interrupted, but its waits can: in get, in wait, and where a generator stands or yields."""
    @miniray.remote(max_concurrency=4)
    class Threads:
        def get(self, path, refs):
            open(path, "w").close()
            return miniray.get(refs)

        def wait(self, path, refs):
            open(path, "w").close()
            return miniray.wait(refs)

        def items(self, path, n):
            for i in range(n):
                yield i
                if i == 3:
                    open(path, "w").close()

        def nap(self, path):
            while not os.path.exists(path):
                time.sleep(0.005)

    with miniray.init(num_cpus=2):
        actor = Threads.remote()
        nap = actor.nap.remote(tmp_path / "end")
        for method in (actor.get, actor.wait):
            ref = method.remote(tmp_path / "up", [nap])
            until((tmp_path / "up").exists)
            (tmp_path / "up").unlink()
            miniray.cancel(ref, recursive=False)
            with pytest.raises(CANCELLED):
                miniray.get(ref, timeout=20)
        for window in (5, -1):
            path = tmp_path / f"up{window}"
            stream = actor.items.options(num_returns="streaming", _generator_backpressure_num_objects=window).remote(path, 10**9)
            until(path.exists)
            miniray.cancel(stream)
            with pytest.raises(CANCELLED):
                for ref in stream:
                    miniray.get(ref, timeout=20)
        (tmp_path / "end").touch()
        assert miniray.get(nap, timeout=20) is None


def test_an_import_that_is_interrupted_can_be_made_again(tmp_path, until):
    package = tmp_path / "slow_to_import"
    package.mkdir()
    (package / "part.py").write_text("value = 5\n")
    (package / "__init__.py").write_text(
        "from .part import value\nimport os, time\nfrom pathlib import Path\nmark = Path(__file__).parent / 'mark'\n"
        "if not mark.exists():\n    mark.touch()\n    time.sleep(60)\n")

    @miniray.remote
    def imports(path):
        import sys

        if path not in sys.path:
            sys.path.insert(0, path)
        import slow_to_import

        return os.getpid(), slow_to_import.part.__name__

    @miniray.remote
    def pid():
        return os.getpid()

    miniray.init(num_workers=1)
    try:
        worker = miniray.get(pid.remote())
        ref = imports.remote(str(tmp_path))
        until((package / "mark").exists)
        miniray.cancel(ref)
        with pytest.raises(miniray.exceptions.TaskCancelledError):
            miniray.get(ref, timeout=20)
        assert miniray.get(imports.remote(str(tmp_path)), timeout=20) == (worker, "slow_to_import.part")
    finally:
        miniray.shutdown()
