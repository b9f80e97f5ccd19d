"""References and waits in coroutines."""

import asyncio
import os
import time

import pytest

import miniray
from miniray.exceptions import RaySystemError, RayTaskError
from miniray.util import ActorPool


@miniray.remote
def gate(path, value=None):
    while not os.path.exists(path):
        time.sleep(0.005)
    if isinstance(value, Exception):
        raise value
    return value


@miniray.remote
def items(n, path):
    for i in range(n):
        yield i
    while not os.path.exists(path):
        time.sleep(0.005)


def test_wait_in_a_coroutine(ray, tmp_path):
    a, b = (gate.options(num_cpus=0).remote(str(tmp_path / name), name) for name in "ab")

    async def main():
        assert await ray.wait([a, b], timeout=0) == ([], [a, b])
        assert await ray.wait([a, b], timeout=0.05) == ([], [a, b])
        turns = 0

        async def others():
            nonlocal turns
            while turns < 20:
                turns += 1
                await asyncio.sleep(0.001)
            (tmp_path / "b").touch()

        other = asyncio.ensure_future(others())
        assert await ray.wait([a, b], timeout=30) == ([b], [a]) and turns == 20
        await other
        (tmp_path / "a").touch()
        assert await ray.wait([b, a], num_returns=2) == ([b, a], [])
        assert await ray.wait([a, b]) == ([a], [b])
        assert await ray.wait([]) == ([], [])

    asyncio.run(main())


def test_wait_without_await_blocks_as_it_does_in_ray(ray, tmp_path):
    """A pair that is unpacked, a pair that is kept and looked at, and a call as a statement."""
    def refs(name):
        return [gate.options(num_cpus=0).remote(str(tmp_path / name), i) for i in range(2)]

    async def main(first, second, third):
        asyncio.get_running_loop().run_in_executor(None, lambda: (time.sleep(0.05), [(tmp_path / name).touch() for name in "abc"]))
        ready, rest = ray.wait(first, num_returns=2)
        assert (ready, rest) == (first, [])
        pair = ray.wait(second, num_returns=2)
        assert len(pair) == 2 and pair[0] == second and pair == (second, []) and repr(pair) == repr((second, []))
        ray.wait(third, num_returns=2)
        assert ray.wait(third, num_returns=2, timeout=0) == (third, [])
        assert ray.get(ray.put(pair)) == (second, [])
        with pytest.warns(RuntimeWarning, match="neither awaited nor looked at"):
            unused = ray.wait(refs("never"))
            del unused
        (tmp_path / "never").touch()

    asyncio.run(main(refs("a"), refs("b"), refs("c")))
    assert type(ray.wait([ray.put(1)])) is tuple


def test_an_async_actor_waits(ray, tmp_path):
    @ray.remote
    class Waits:
        async def block(self, refs):
            ready, rest = miniray.wait(refs, timeout=30)
            return len(ready), len(rest)

        async def yields(self, refs):
            ready, rest = await miniray.wait(refs, timeout=30)
            return len(ready), len(rest)

        async def open(self, path):
            open(path, "w").close()

    actor = Waits.remote()
    waits = actor.yields.remote([gate.options(num_cpus=0).remote(str(tmp_path / "a"))])
    ray.get(actor.open.remote(str(tmp_path / "a")))
    assert ray.get(waits) == (1, 0)
    blocks = actor.block.remote([gate.options(num_cpus=0).remote(str(tmp_path / "b")), ray.put(1)])
    assert ray.get(blocks) == (1, 1)
    (tmp_path / "b").touch()


def test_wait_over_streams_in_a_coroutine(ray, tmp_path):
    stream = items.options(num_cpus=0).remote(1, str(tmp_path / "end"))
    slow = gate.options(num_cpus=0).remote(str(tmp_path / "never"))

    async def main():
        assert await ray.wait([slow, stream], timeout=30) == ([stream], [slow])
        assert await next(stream) == 0
        assert await ray.wait([slow, stream], timeout=0.05) == ([], [slow, stream])
        (tmp_path / "end").touch()
        assert await ray.wait([slow, stream], timeout=30) == ([stream], [slow])

    asyncio.run(main())
    (tmp_path / "never").touch()


@pytest.mark.parametrize("call, kind, message", [
    (lambda ref: miniray.wait([ref, ref]), ValueError, "unique"), (lambda ref: miniray.wait(ref), TypeError, "single"),
    (lambda ref: miniray.wait([ref], num_returns=0), ValueError, "Invalid number"),
    (lambda ref: miniray.wait([ref], num_returns=2), ValueError, "greater than"), (lambda ref: miniray.wait([5]), TypeError, "int"),
    (lambda ref: miniray.wait([ref], timeout=-1), ValueError, "nonnegative"),
])
def test_wait_in_a_coroutine_refuses_what_wait_refuses(ray, call, kind, message):
    async def main():
        await call(ray.put(1))

    with pytest.raises(kind, match=message):
        asyncio.run(main())


def test_many_waits_leave_nothing(ray, tmp_path):
    from miniray import _async

    slow = [gate.options(num_cpus=0).remote(str(tmp_path / "go"), i) for i in range(3)]

    async def main():
        for _ in range(50):
            assert (await ray.wait(slow, timeout=0.0001))[0] == []
        assert not _async._pending
        task = asyncio.ensure_future(ray.wait(slow))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not _async._pending
        (tmp_path / "go").touch()
        assert (await ray.wait(slow, num_returns=3))[1] == []

    asyncio.run(main())


def test_a_session_that_ends_ends_the_wait(tmp_path):
    miniray.init(num_cpus=1)
    slow = gate.remote(str(tmp_path / "never"))

    async def main():
        wait = asyncio.ensure_future(miniray.wait([slow]))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(miniray.shutdown)
        with pytest.raises(RaySystemError, match="shut down"):
            await wait

    asyncio.run(main())


def test_asyncio_takes_references(ray, tmp_path):
    refs = [gate.options(num_cpus=0).remote(str(tmp_path / name), name) for name in "ab"]
    bad = gate.options(num_cpus=0).remote(str(tmp_path / "a"), KeyError("x"))

    async def main(again):
        tasks = [asyncio.ensure_future(ref) for ref in refs]
        (tmp_path / "a").touch()
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert again or [task.result() for task in done] == ["a"] and len(pending) == 1
        (tmp_path / "b").touch()
        assert await asyncio.gather(*refs) == ["a", "b"]
        assert sorted([await one for one in asyncio.as_completed(refs)]) == ["a", "b"]
        assert await asyncio.wait_for(refs[0], 30) == "a"
        results = await asyncio.gather(*refs, bad, return_exceptions=True)
        assert results[:2] == ["a", "b"] and isinstance(results[2], KeyError) and isinstance(results[2], RayTaskError)

    asyncio.run(main(False))
    asyncio.run(main(True))


@miniray.remote(num_cpus=0)
class Worker:
    def double(self, x):
        if x is None:
            raise ValueError("nothing to double")
        return 2 * x

    def wait(self, path):
        while not os.path.exists(path):
            time.sleep(0.005)
        return os.getpid()

    def die(self, _):
        os._exit(1)


def double(actor, value):
    return actor.double.remote(value)


def test_futures_of_an_actor_pool(ray, tmp_path):
    pool = ActorPool([Worker.remote(), Worker.remote()])
    assert pool.map_async(double, range(20)).result(timeout=30) == [2 * i for i in range(20)]
    assert pool.map_async(double, []).result(timeout=30) == [] and pool.apply_async(double, 4).result(timeout=30) == 8
    with pytest.raises(ValueError, match="nothing to double"):
        pool.map_async(double, [1, None, 2]).result(timeout=30)
    assert list(pool.map(double, [1, 2, 3])) == [2, 4, 6], "the actors are there for both ways"
    path = str(tmp_path / "go")
    held = pool.map_async(lambda a, p: a.wait.remote(p), [path] * 4)
    last = pool.apply_async(double, 1)
    assert not held.done() and last.cancel() and last.cancelled()
    pool.submit(double, 5)
    assert pool.has_next() and not pool.has_free()
    (tmp_path / "go").touch()
    assert pool.get_next(timeout=30) == 10 and len(set(held.result(timeout=30))) == 2
    seen = []
    done = pool.map_async(double, [1, 2])
    done.add_done_callback(lambda future: seen.append(future.result()))
    done.result(timeout=30)
    assert pool.apply_async(double, 1).result(timeout=30) == 2 and seen == [[2, 4]]

    async def main():
        return await asyncio.wrap_future(pool.map_async(double, [3]))

    assert asyncio.run(main()) == [6]


def test_futures_of_a_pool_whose_actors_die(ray):
    pool = ActorPool([Worker.remote()])
    dead = pool.apply_async(lambda a, v: a.die.remote(v), 1)
    waits = pool.map_async(double, [1, 2])
    for future in (dead, waits):
        with pytest.raises(miniray.exceptions.ActorDiedError):
            future.result(timeout=30)
    with pytest.raises(miniray.exceptions.ActorDiedError, match="push"):
        pool.apply_async(double, 1)
    pool.push(Worker.remote())
    assert pool.apply_async(double, 1).result(timeout=30) == 2


def test_what_raises_when_it_is_told_stops_nobody_else(ray, monkeypatch):
    import threading

    from miniray import _async

    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    number = ray.put(1)
    _async.watch(number, lambda alive: 1 / 0)
    assert ray.put(2).future().result(timeout=30) == 2 and told == [ZeroDivisionError]
