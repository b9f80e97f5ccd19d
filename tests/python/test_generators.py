"""Generators: their references, their end, and what becomes of items after retries, errors and cancels."""

from __future__ import annotations

import asyncio
import os
import pickle
import time

import pytest

import miniray
from miniray.exceptions import TaskCancelledError


@miniray.remote
def count(n):
    for i in range(n):
        yield i


@miniray.remote(max_retries=0)
def two_then_error():
    yield 0
    yield 1
    raise ValueError("late")


def test_completed_is_none_or_the_error(ray):
    stream = count.remote(3)
    assert [ray.get(item) for item in stream] == [0, 1, 2]
    assert ray.get(stream.completed()) is None
    with pytest.raises(StopIteration):
        next(stream)
    broken = two_then_error.remote()
    assert [ray.get(next(broken)), ray.get(next(broken))] == [0, 1]
    with pytest.raises(ValueError, match="late"):
        ray.get(next(broken))
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(broken)
    with pytest.raises(ValueError, match="late"):
        ray.get(broken.completed())


def test_completed_is_not_the_next_item(ray, tmp_path):
    @ray.remote
    def held(gate):
        yield 1
        while not os.path.exists(gate):
            time.sleep(0.01)

    stream = held.remote(str(tmp_path / "gate"))
    assert ray.wait([stream], timeout=30)[0] == [stream]
    assert ray.wait([stream.completed()], timeout=0)[0] == []
    assert stream.next_ready() and not stream.is_finished()
    next(stream)
    assert not stream.next_ready() and not stream.is_finished()
    (tmp_path / "gate").touch()
    assert ray.get(stream.completed(), timeout=30) is None
    assert stream.is_finished() and stream.next_ready()


def test_is_finished_keeps_the_items(ray):
    stream = count.remote(2)
    ray.get(stream.completed())
    assert not stream.is_finished()
    assert ray.get(next(stream)) == 0
    assert not stream.is_finished()
    assert [ray.get(item) for item in stream] == [1] and stream.is_finished()


def test_dynamic_gives_a_value_of_references(ray):
    dynamic = count.options(num_returns="dynamic")
    ref = dynamic.remote(3)
    assert isinstance(ref, ray.ObjectRef)
    items = ray.get(ref)
    assert isinstance(items, ray.DynamicObjectRefGenerator) and len(items) == 3
    assert ray.get(list(items)) == [0, 1, 2] == ray.get(list(items))

    @ray.remote
    def total(items):
        return sum(ray.get(list(items)))

    assert ray.get(total.remote(dynamic.remote(4))) == 6
    first, second, third = ray.get(two_then_error.options(num_returns="dynamic").remote())
    assert ray.get([first, second]) == [0, 1]
    with pytest.raises(ValueError, match="late"):
        ray.get(third)


@pytest.mark.parametrize("options", [{}, {"max_concurrency": 2}, None], ids=["plain", "threaded", "async"])
def test_generator_methods(ray, options):
    class Source:
        def items(self, n):
            for i in range(n):
                yield i

        @miniray.method(num_returns="dynamic")
        def dynamic(self, n):
            yield from range(n)

        @miniray.method(num_returns=2)
        def pair(self):
            yield 1
            yield 2

        def broken(self):
            yield 0
            raise ValueError("in a method")

    class AsyncSource(Source):
        async def later(self, n):
            for i in range(n):
                await asyncio.sleep(0)
                yield i

    actor = ray.remote(AsyncSource).remote() if options is None else ray.remote(Source).options(**options).remote()
    assert [ray.get(item) for item in actor.items.remote(3)] == [0, 1, 2]
    assert ray.get(list(ray.get(actor.dynamic.remote(3)))) == [0, 1, 2]
    assert ray.get(actor.pair.remote()) == [1, 2]
    stream = actor.broken.remote()
    assert ray.get(next(stream)) == 0
    with pytest.raises(ValueError, match="in a method"):
        ray.get(next(stream))
    if options is None:
        stream = actor.later.options(_generator_backpressure_num_objects=1).remote(3)
        assert [ray.get(item) for item in stream] == [0, 1, 2] and ray.get(stream.completed()) is None


def test_results_of_a_generator_come_as_they_are_made(ray):
    first, second = two_then_error.options(num_returns=2).remote()
    assert ray.get(first) == 0  # good though the task failed
    with pytest.raises(ValueError, match="late"):
        ray.get(second)
    with pytest.raises(ValueError, match="more than 2"):
        ray.get(count.options(num_returns=2, max_retries=0).remote(3))
    with pytest.raises(ValueError, match="returned 3 objects"):
        ray.get(count.options(num_returns=4, max_retries=0).remote(3))


def test_exact_items_across_retries(ray, tmp_path):
    @ray.remote(max_retries=5, retry_exceptions=[KeyError])
    def steps(path, dies):
        with open(path, "a") as file:
            file.write("x")
        n = os.path.getsize(path)
        yield 0
        if n == 1:
            raise KeyError("again")
        yield 1
        if n <= 3:
            if dies:
                os._exit(1)
            raise KeyError("again")
        yield 2

    for dies in (False, True):
        path = str(tmp_path / f"attempts{dies}")
        assert [ray.get(item) for item in steps.remote(path, dies)] == [0, 1, 2]
        assert os.path.getsize(path) == 4


def test_async_iteration(ray):
    async def items(n):
        return [await item async for item in count.remote(n)]

    async def main():
        return await asyncio.gather(*[items(5) for _ in range(20)])

    assert asyncio.run(main()) == [[0, 1, 2, 3, 4]] * 20


def test_more_async_readers_than_threads(ray, tmp_path):
    """Readers whose items are not there yet hold nothing that others need."""

    @ray.remote
    class Gate:
        def __init__(self):
            self.open = asyncio.Event()

        async def waits(self):
            await self.open.wait()
            yield 1

        async def release(self):
            self.open.set()

    gate = Gate.remote()

    async def read():
        return [await item async for item in gate.waits.remote()]

    async def main():
        readers = [asyncio.ensure_future(read()) for _ in range(50)]
        await asyncio.sleep(0)
        assert [await item async for item in count.remote(2)] == [0, 1]
        await gate.release.remote()
        return await asyncio.gather(*readers)

    assert asyncio.run(main()) == [[1]] * 50


@pytest.mark.parametrize("window", [-1, 1])
def test_a_cancel_cuts_the_stream(ray, window):
    @ray.remote(_generator_backpressure_num_objects=window)
    def items():
        for i in range(100_000):
            yield i

    for _ in range(20):  # at every stage of the producer
        stream = items.remote()
        next(stream)
        ray.cancel(stream)
        got = []
        with pytest.raises(TaskCancelledError):
            for item in stream:
                got.append(ray.get(item, timeout=30))
        assert got == list(range(1, len(got) + 1)) and len(got) < 99_999
        with pytest.raises(TaskCancelledError):
            ray.get(stream.completed(), timeout=30)


def test_next_with_a_timeout_and_pickling(ray, tmp_path):
    @ray.remote
    def never(gate):
        while not os.path.exists(gate):
            time.sleep(0.01)
        yield 1

    stream = never.remote(str(tmp_path / "gate"))
    assert stream._next_sync(timeout_s=0).is_nil()
    with pytest.raises(TypeError, match="cannot be passed on"):
        pickle.dumps(stream)
    (tmp_path / "gate").touch()
    assert ray.get(stream._next_sync(timeout_s=30)) == 1
    with pytest.raises(ValueError, match="positive integer"):
        count.options(_generator_backpressure_num_objects=0)
