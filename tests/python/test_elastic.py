"""Processes that come and go, what a blocked task lends, circles, threads that wait, GPUs, streams that can be left."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
import time

import pytest

import miniray
from miniray.exceptions import DeadlockError, GetTimeoutError, RayTaskError

LONG = 60  # seconds that nothing here should take: a limit, so that a failure ends


def private_kb(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("Private_Clean", "Private_Dirty")))


@miniray.remote
class Barrier:
    """Lets all go once `n` are there."""

    def __init__(self, n):
        self.left, self.all = n, asyncio.Event()

    async def arrive(self):
        self.left -= 1
        if self.left == 0:
            self.all.set()
        await self.all.wait()


@miniray.remote
class Plain:
    def pid(self):
        return os.getpid()

    def echo(self, x):
        return x


@miniray.remote
def echo(x):
    return x


# ---------------------------------------------------------------------------------------------------------- processes

def test_many_actors_are_small_and_outside_of_the_pool(tmp_path):
    (tmp_path / "few.ini").write_text("[engine]\nmax_workers = 4\n")

    @miniray.remote
    class Small:  # here, so that its process does not import this module, and pytest with it
        def pid(self):
            import os

            return os.getpid()

    miniray.init(num_cpus=2, config=str(tmp_path / "few.ini"))
    try:
        actors = [Small.remote() for _ in range(100)]
        pids = miniray.get([a.pid.remote() for a in actors], timeout=LONG)
        assert len(set(pids)) == 100
        sizes = sorted(private_kb(pid) for pid in pids)
        assert sizes[50] <= 2048 * 1.25, "an actor of one small class has much memory of its own"
        assert miniray.get([echo.remote(i) for i in range(10)], timeout=LONG) == list(range(10))
    finally:
        miniray.shutdown()


def test_actors_are_made_though_all_workers_are_blocked(tmp_path):
    (tmp_path / "few.ini").write_text("[engine]\nmax_workers = 2\n")

    @miniray.remote
    def through_an_actor(x):
        return miniray.get(Plain.remote().echo.remote(x))

    miniray.init(num_cpus=2, config=str(tmp_path / "few.ini"))
    try:
        assert miniray.get([through_an_actor.remote(i) for i in range(6)], timeout=LONG) == list(range(6))
    finally:
        miniray.shutdown()


def test_workers_retire_after_max_calls(ray):
    @miniray.remote(max_calls=2)
    def pid():
        return os.getpid()

    pids = ray.get([pid.remote() for _ in range(6)], timeout=LONG)
    assert max(pids.count(p) for p in set(pids)) == 2


def test_idle_workers_are_reaped(tmp_path, until):
    (tmp_path / "soon.ini").write_text("[engine]\nidle_worker_s = 0.2s\n")
    miniray.init(num_cpus=2, config=str(tmp_path / "soon.ini"))
    try:
        barrier = Barrier.remote(5)

        @miniray.remote(num_cpus=0)
        def meet(barrier):
            miniray.get(barrier.arrive.remote())
            return os.getpid()

        pids = miniray.get([meet.remote(barrier) for _ in range(5)], timeout=LONG)
        assert len(set(pids)) == 5
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the end of the idle workers")
        assert miniray.get(echo.remote(1), timeout=LONG) == 1
    finally:
        miniray.shutdown()


# ---------------------------------------------------------------------------------------------------------- resources

def test_gpus_are_given_by_index(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def seen():
        return os.environ.get("CUDA_VISIBLE_DEVICES"), miniray.get_gpu_ids()

    @miniray.remote(num_cpus=0)
    def task(barrier):
        miniray.get(barrier.arrive.remote())
        return seen()

    @miniray.remote(num_gpus=0.5)
    class Half:
        def seen(self):
            return seen()

    with miniray.init(num_cpus=2, num_gpus=2):
        barrier = Barrier.remote(2)
        whole = miniray.get([task.options(num_gpus=1).remote(barrier) for _ in range(2)], timeout=LONG)
        assert sorted(whole) == [("0", [0]), ("1", [1])]
        barrier = Barrier.remote(4)
        parts = miniray.get([task.options(num_gpus=0.5).remote(barrier) for _ in range(4)], timeout=LONG)
        assert sorted(parts) == [("0", [0])] * 2 + [("1", [1])] * 2
        assert miniray.get(task.options(num_gpus=2).remote(Barrier.remote(1)), timeout=LONG) == ("0,1", [0, 1])
        halves = [Half.remote() for _ in range(3)]
        assert sorted(miniray.get([h.seen.remote() for h in halves], timeout=LONG)) == [("0", [0])] * 2 + [("1", [1])]
        assert miniray.get(task.remote(Barrier.remote(1)), timeout=LONG)[1] == []
        assert miniray.get_gpu_ids() == []


def test_gpus_within_those_of_the_driver(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")

    @miniray.remote(num_gpus=1)
    def seen():
        return os.environ["CUDA_VISIBLE_DEVICES"], miniray.get_gpu_ids()

    @miniray.remote
    def none():
        return miniray.get_gpu_ids()

    with miniray.init(num_cpus=2, num_gpus=2):
        assert miniray.get(seen.remote(), timeout=LONG) == ("4", [4])
        assert miniray.get(none.remote(), timeout=LONG) == []


def test_all_kinds_of_resources_bound_what_runs(tmp_path):
    @miniray.remote(num_cpus=0)
    def inside(folder):
        """How many are inside at once."""
        mine = os.path.join(folder, str(os.getpid()))
        open(mine, "w").close()
        time.sleep(0.05)
        most = len(os.listdir(folder))
        os.unlink(mine)
        return most

    with miniray.init(num_cpus=1, resources={"x": 1.5}, _memory=1 << 30):
        for name, options, most in (("x", {"resources": {"x": 0.5}}, 3), ("memory", {"memory": 600 << 20}, 1),
                                    ("part", {"num_cpus": 0.3}, 3)):
            folder = tmp_path / name
            folder.mkdir()
            at_once = miniray.get([inside.options(**options).remote(str(folder)) for _ in range(8)], timeout=LONG)
            assert max(at_once) <= most, name
        tiny = [echo.options(num_cpus=0.0001).remote(i) for i in range(200)]
        assert miniray.get(tiny, timeout=LONG) == list(range(200))
        free = miniray.available_resources()
        assert free.pop("object_store_memory") > 0
        assert free == {"CPU": 1.0, "x": 1.5, "memory": float(1 << 30)}


def test_tasks_without_cpus_are_not_limited(ray):
    @miniray.remote(num_cpus=0)
    def meet(barrier):
        miniray.get(barrier.arrive.remote())

    barrier = Barrier.remote(30)
    ray.get([meet.remote(barrier) for _ in range(30)], timeout=LONG)


# ----------------------------------------------------------------------------------------------------------- blocking

def test_twenty_at_a_barrier_on_one_cpu():
    @miniray.remote
    def meet(barrier):
        miniray.get(barrier.arrive.remote())

    with miniray.init(num_cpus=1):
        barrier = Barrier.remote(20)
        miniray.get([meet.remote(barrier) for _ in range(20)], timeout=LONG)


def test_gets_within_gets_to_depth_1000():
    @miniray.remote
    def down(n):
        return 0 if n == 0 else 1 + miniray.get(down.remote(n - 1))

    with miniray.init(num_cpus=1):
        assert miniray.get(down.remote(1000), timeout=2 * LONG) == 1000


def test_a_blocked_task_lends_only_its_cpu():
    @miniray.remote(resources={"x": 1})
    def needs_x():
        return 1

    @miniray.remote(resources={"x": 1})
    def holds_x():
        plain = miniray.get(echo.remote(5))  # the one CPU is lent
        with pytest.raises(DeadlockError, match="holds_x"):  # x is not, so that task can never start
            miniray.get(needs_x.options(num_cpus=0).remote())
        return plain

    with miniray.init(num_cpus=1, resources={"x": 1}):
        assert miniray.get(holds_x.remote(), timeout=LONG) == 5


# ------------------------------------------------------------------------------------------------------------ circles

@miniray.remote
class Caller:
    def meet(self, other):
        self.other = other

    def go(self):
        return miniray.get(self.other.go.remote())


def test_two_actors_that_call_each_other(ray):
    a, b = Caller.remote(), Caller.remote()
    ray.get([a.meet.remote(b), b.meet.remote(a)])
    with pytest.raises(DeadlockError, match=r"these wait for each other: .*Caller\.go \([0-9a-f]+\), .*Caller\.go \("):
        ray.get(a.go.remote(), timeout=LONG)


def test_an_actor_that_calls_itself(ray):
    a = Caller.remote()
    ray.get(a.meet.remote(a))
    with pytest.raises(DeadlockError, match=r"Caller\.go"):
        ray.get(a.go.remote(), timeout=LONG)


def test_a_task_that_waits_for_itself(ray):
    @miniray.remote
    class Box:
        async def give(self, value):
            self.value = value

        async def take(self):
            while not hasattr(self, "value"):
                await asyncio.sleep(0.01)
            return self.value

    @miniray.remote
    def own(box):
        (mine,) = miniray.get(box.take.remote())
        return miniray.get(mine)

    box = Box.remote()
    mine = own.remote(box)
    ray.get(box.give.remote([mine]))
    with pytest.raises(DeadlockError, match=r"own \([0-9a-f]+\)"):
        ray.get(mine, timeout=LONG)


def test_a_timeout_inside_a_circle_is_a_timeout():
    @miniray.remote(resources={"x": 1})
    def needs_x():
        return 1

    @miniray.remote(resources={"x": 1})
    def holds_x():
        with pytest.raises(GetTimeoutError):
            miniray.get(needs_x.options(num_cpus=0).remote(), timeout=0.6)
        return "went on"

    with miniray.init(num_cpus=1, resources={"x": 1}):
        assert miniray.get(holds_x.remote(), timeout=LONG) == "went on"


def test_all_workers_blocked_and_no_more_allowed(tmp_path):
    (tmp_path / "few.ini").write_text("[engine]\nmax_workers = 3\n")

    @miniray.remote
    def down(n):
        return 0 if n == 0 else 1 + miniray.get(down.remote(n - 1))

    miniray.init(num_cpus=1, config=str(tmp_path / "few.ini"))
    try:
        assert miniray.get(down.remote(2), timeout=LONG) == 2
        with pytest.raises(DeadlockError, match=r"all 3 running tasks are blocked.*max_workers.*down \(.*down \(.*down \("):
            miniray.get(down.remote(10), timeout=LONG)
        # What the failed ones had started goes on, into the same wall; those that wait for nobody get through.
        assert miniray.get(echo.remote(1), timeout=LONG) == 1
    finally:
        miniray.shutdown()


# ------------------------------------------------------------------------------------------------------------ threads

def test_ten_threads_of_the_driver(ray):
    out, gate = [], threading.Barrier(10)

    def work(i):
        gate.wait(LONG)
        for k in range(20):
            out.append(ray.get(echo.remote(20 * i + k), timeout=LONG))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert sorted(out) == list(range(200))


def test_twenty_threads_of_an_actor(ray):
    @miniray.remote(max_concurrency=20)
    class Threads:
        def __init__(self, barrier):
            self.barrier, self.gate = barrier, threading.Barrier(20)

        def wait(self, i):
            self.gate.wait(LONG)  # all twenty are inside
            miniray.get(self.barrier.arrive.remote())  # and all twenty are in get
            return miniray.get(echo.remote(i))

    actor = Threads.remote(Barrier.remote(20))
    assert ray.get([actor.wait.remote(i) for i in range(20)], timeout=LONG) == list(range(20))


def test_get_and_await_inside_async_methods(ray):
    @miniray.remote
    class Both:
        async def go(self, i):
            return miniray.get(echo.remote(i)) + await echo.remote(100)

    both = Both.remote()
    assert ray.get([both.go.remote(i) for i in range(20)], timeout=LONG) == [100 + i for i in range(20)]


def test_callbacks_run_on_a_python_thread(ray):
    where, called = [], threading.Event()
    future = echo.remote(3).future()
    future.add_done_callback(lambda _: (where.append(threading.current_thread()), called.set()))
    assert future.result(LONG) == 3
    assert called.wait(LONG)
    assert isinstance(where[0], threading.Thread) and where[0].ident in {t.ident for t in threading.enumerate()}

    async def many():
        return await asyncio.gather(*[echo.remote(i) for i in range(50)])

    assert asyncio.run(many()) == list(range(50))


# -------------------------------------------------------------------------------------------------------- async calls

def test_async_calls_in_one_step(ray):
    @miniray.remote
    class Async:
        def __init__(self):
            self.later, self.var = [], contextvars.ContextVar("var", default="fresh")

        async def value(self, x, y=0):
            return x + y

        async def fails(self):
            raise KeyError("k")

        async def two(self):
            return 1, 2

        async def leaks(self):
            seen = self.var.get()
            self.var.set("stale")
            return seen

        async def starts_a_task(self):
            self.later.append(asyncio.ensure_future(asyncio.sleep(0, "later")))

        async def awaits_it(self):
            return await self.later.pop()

        async def has_a_task(self):
            await asyncio.sleep(0)
            return asyncio.current_task() is not None

        async def times_out(self):
            try:
                await asyncio.wait_for(asyncio.sleep(LONG), 0.01)
            except asyncio.TimeoutError:
                return "timed out"

    a = Async.remote()
    assert ray.get(a.value.remote(1, y=2), timeout=LONG) == 3
    with pytest.raises(KeyError):
        ray.get(a.fails.remote(), timeout=LONG)
    assert ray.get(list(a.two.options(num_returns=2).remote()), timeout=LONG) == [1, 2]
    with pytest.raises(RayTaskError, match="n_?u?m?_?returns=3"):
        ray.get(a.two.options(num_returns=3).remote()[0], timeout=LONG)
    assert ray.get([a.leaks.remote() for _ in range(3)], timeout=LONG) == ["fresh"] * 3
    ray.get(a.starts_a_task.remote(), timeout=LONG)
    assert ray.get(a.awaits_it.remote(), timeout=LONG) == "later"
    assert ray.get([a.has_a_task.remote(), a.times_out.remote()], timeout=LONG) == [True, "timed out"]


def test_flat_is_what_cannot_be_suspended():
    from miniray._async_actor import _is_flat

    async def plain(self):
        return [x for x in (1, 2)]

    async def awaits(self):
        await asyncio.sleep(0)

    async def loops(self):
        async for _ in self:
            pass

    async def guards(self):
        async with self:
            pass

    async def collects(self):
        return [x async for x in self]

    async def makes(self):
        yield 1

    def sync(self):
        return plain(self)

    assert _is_flat(plain)
    assert not any(map(_is_flat, (awaits, loops, guards, collects, makes, sync)))


# ------------------------------------------------------------------------------------------------------------ streams

@pytest.fixture
def slow_stream(ray, tmp_path):
    """A stream whose second item comes when the returned path exists."""
    go_on = tmp_path / "go-on"

    @miniray.remote(num_returns="streaming")
    def items():
        yield 1
        while not go_on.exists():
            time.sleep(0.01)
        yield 2

    return items.remote(), go_on


def test_wait_over_streams(ray, slow_stream):
    stream, go_on = slow_stream
    assert ray.wait([stream], timeout=LONG) == ([stream], [])
    assert ray.get(next(stream)) == 1
    one = echo.remote(1)
    assert ray.wait([stream, one], timeout=LONG) == ([one], [stream])
    assert ray.wait([stream], timeout=0.05) == ([], [stream])
    go_on.touch()
    assert ray.wait([stream, one], num_returns=2, timeout=LONG) == ([stream, one], [])
    assert ray.get(next(stream)) == 2
    assert ray.wait([stream], timeout=LONG) == ([stream], [])  # its end
    with pytest.raises(StopIteration):
        next(stream)
    assert ray.wait([stream], timeout=LONG) == ([stream], [])


def test_wait_over_streams_in_a_worker(ray):
    @miniray.remote(num_returns="streaming")
    def items(n):
        yield from range(n)

    @miniray.remote
    def reads():
        stream, out = items.remote(3), []
        while True:
            assert miniray.wait([stream], timeout=LONG) == ([stream], [])
            try:
                out.append(miniray.get(next(stream)))
            except StopIteration:
                return out

    assert ray.get(reads.remote(), timeout=LONG) == [0, 1, 2]


def test_next_can_be_given_up(ray, slow_stream):
    stream, go_on = slow_stream
    assert ray.get(next(stream)) == 1
    with pytest.raises(GetTimeoutError):
        stream._next(0.05)
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    go_on.touch()
    assert ray.get(next(stream)) == 2  # nothing was lost
    with pytest.raises(StopIteration):
        next(stream)
