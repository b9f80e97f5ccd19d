"""Generators: items one by one, back-pressure, retries, readers that go away."""

import os
import signal
import time

import numpy as np
import pytest

import miniray


def test_items_leave_as_they_are_made(ray, tmp_path):
    @ray.remote
    def items(path):
        yield "first"
        while not os.path.exists(path):
            time.sleep(0.005)
        yield "second"

    stream = items.remote(str(tmp_path / "go"))
    assert ray.get(next(stream), timeout=20) == "first"
    (tmp_path / "go").touch()
    assert ray.get(next(stream), timeout=20) == "second"
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


class Noting:
    """Notes each item in a file before it yields it."""

    def items(self, path, n):
        for i in range(n):
            with open(path, "a") as f:
                f.write("x")
            yield i


def noting(kind, window):
    option = {"_generator_backpressure_num_objects": window}
    if kind == "task":
        return miniray.remote(**option)(lambda path, n: (yield from Noting().items(path, n)))
    actor = miniray.remote(max_concurrency=4 if kind == "threads" else 1)(Noting).remote()
    return actor.items.options(num_returns="streaming", **option)


@pytest.mark.parametrize("kind", ["task", "actor", "threads"])
@pytest.mark.parametrize("window", [1, 3])
def test_never_more_than_the_window_is_unread(ray, tmp_path, until, window, kind):
    path, n = tmp_path / "made", 300
    path.touch()
    stream = noting(kind, window).remote(str(path), n)
    for i in range(20):
        until(lambda: path.stat().st_size == i + window)  # it stands still exactly there
        assert ray.get(next(stream), timeout=20) == i
    for i in range(20, n):
        assert ray.get(next(stream), timeout=20) == i
        assert path.stat().st_size <= i + 1 + window
    with pytest.raises(StopIteration):
        next(stream)


def test_a_window_across_deaths(ray, tmp_path):
    @ray.remote(max_retries=5, _generator_backpressure_num_objects=2)
    def items(path):
        for i in range(9):
            with open(path, "a") as f:
                f.write("x")
            if os.path.getsize(path) in (3, 6, 11):
                os.kill(os.getpid(), signal.SIGKILL)
            yield i

    assert [ray.get(ref, timeout=20) for ref in items.remote(str(tmp_path / "runs"))] == list(range(9))


def test_windows_that_cannot_be(ray):
    with pytest.raises(ValueError, match="_generator_backpressure_num_objects=0 is not allowed"):
        ray.remote(_generator_backpressure_num_objects=0)(lambda: (yield 1))

    @ray.remote
    class Async:
        def items(self):
            yield 1

        async def other(self):
            return 2

    a = Async.remote()
    with pytest.raises(ValueError, match="plain generator of an async actor"):
        ray.get(next(a.items.options(_generator_backpressure_num_objects=1).remote()), timeout=20)
    assert ray.get(a.other.remote(), timeout=20) == 2


def test_a_reader_that_goes_lets_the_producer_end(ray, tmp_path, until):
    @ray.remote(_generator_backpressure_num_objects=2)
    def items(path):
        for i in range(50):
            yield i
        open(path, "w").close()

    stream = items.remote(str(tmp_path / "end"))
    assert ray.get(next(stream), timeout=20) == 0
    del stream
    until((tmp_path / "end").exists, "the end of the producer")


def test_a_waiting_producer_is_cancelled(ray, until):
    @ray.remote(_generator_backpressure_num_objects=1)
    def items():
        for i in range(50):
            yield i

    stream = items.remote()
    assert ray.get(next(stream), timeout=20) == 0
    ray.cancel(stream)
    with pytest.raises((miniray.exceptions.TaskCancelledError, StopIteration)):
        for _ in range(50):
            ray.get(next(stream), timeout=20)
    until(lambda: ray.available_resources()["CPU"] == 2, "the end of the producer")


@pytest.mark.parametrize("store", ["store-shm", "store-mem"])
@pytest.mark.parametrize("size", [1, 100_000])
def test_exact_items_across_deaths(store, size, tmp_path):
    miniray.init(num_workers=2, store=store)
    try:
        @miniray.remote(max_retries=5)
        def items(path):
            for i in range(9):
                with open(path, "a") as f:
                    f.write("x")
                if os.path.getsize(path) in (3, 6, 11):
                    os.kill(os.getpid(), signal.SIGKILL)
                yield np.full(size, i)

        stream = items.remote(str(tmp_path / "runs"))
        got = [miniray.get(ref, timeout=20) for ref in stream]
        assert [int(a[0]) for a in got] == list(range(9))
        assert all(a.size == size and (a == a[0]).all() for a in got)
        del got, stream  # arrays would outlive the session
    finally:
        miniray.shutdown()


@pytest.mark.parametrize("store", ["store-shm", "store-mem"])
def test_a_result_that_was_there_before_the_death(store, tmp_path):
    """num_returns=2: the first result is sealed, then the process dies; the retry makes both again."""
    miniray.init(num_workers=2, store=store)
    try:
        @miniray.remote(num_returns=2, max_retries=3)
        def two(path):
            yield np.full(100_000, 1)
            if not os.path.exists(path):
                open(path, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            yield np.full(100_000, 2)

        first, second = miniray.get(list(two.remote(str(tmp_path / "died"))), timeout=20)
        assert (first == 1).all() and (second == 2).all()
        del first, second
    finally:
        miniray.shutdown()


def test_the_end_of_a_stream_that_fails(ray):
    @ray.remote(max_retries=0)
    def items(how):
        yield 1
        yield 2
        if how == "raise":
            raise KeyError("x")
        os._exit(1)

    for how, kind in (("raise", KeyError), ("exit", miniray.exceptions.WorkerCrashedError)):
        stream = items.remote(how)
        assert [ray.get(next(stream), timeout=20) for _ in range(2)] == [1, 2]
        with pytest.raises(kind):
            ray.get(next(stream), timeout=20)
        with pytest.raises(StopIteration):
            next(stream)
