"""What is in miniray.util for tasks and actors to work together: ActorPool, Queue, Event, Lock, Semaphore, bars."""

import asyncio
import io
import queue as standard
import threading
import time

import pytest

import miniray
from miniray.util import ActorPool
from miniray._bars import Display
from miniray.util.progress import tqdm
from miniray.util.queue import Empty, Full, Queue
from miniray.util.sync import Event, Lock, Semaphore


@miniray.remote
class Worker:
    def double(self, x):
        if x == "die":
            miniray.exit_actor()
        return 2 * x

    def wait_for(self, path):
        while not path.exists():
            time.sleep(0.002)
        return path.name


def double(actor, value):
    return actor.double.remote(value)


# ---- ActorPool -----------------------------------------------------------------------------------------------------

def test_actor_pool_map(ray):
    pool = ActorPool([Worker.remote(), Worker.remote()])
    assert list(pool.map(double, range(8))) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert sorted(pool.map_unordered(double, range(8))) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert pool.has_free() and not pool.has_next()
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_actor_pool_submit(ray, tmp_path):
    pool = ActorPool([Worker.remote(), Worker.remote()])
    wait_for = lambda a, name: a.wait_for.remote(tmp_path / name)  # noqa: E731
    for name in "abc":
        pool.submit(wait_for, name)
    assert pool.has_next() and not pool.has_free() and pool.pop_idle() is None
    for late in (pool.get_next, pool.get_next_unordered):
        with pytest.raises(TimeoutError):
            late(timeout=0.01)
    (tmp_path / "b").touch()
    assert pool.get_next_unordered(timeout=20) == "b"
    (tmp_path / "c").touch()
    assert pool.get_next_unordered(timeout=20) == "c"
    with pytest.raises(ValueError, match="not allowed"):
        pool.get_next()
    (tmp_path / "a").touch()
    assert pool.get_next_unordered() == "a" and not pool.has_next()


def test_actor_pool_passes_over_what_is_late(ray, tmp_path):
    pool = ActorPool([Worker.remote()])
    pool.submit(lambda a, v: a.wait_for.remote(tmp_path / v), "never")
    pool.submit(double, 4)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.01, ignore_if_timedout=True)
    (tmp_path / "never").touch()
    assert pool.get_next(timeout=20) == 8


def test_actor_pool_push_and_pop(ray):
    first, second = Worker.remote(), Worker.remote()
    pool = ActorPool([first])
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(first)
    pool.submit(double, 1)
    pool.submit(double, 2)
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(first)
    pool.push(second)
    assert [pool.get_next(), pool.get_next()] == [2, 4]
    assert {pool.pop_idle(), pool.pop_idle(), pool.pop_idle()} == {first, second, None}


def test_actor_pool_does_without_the_dead(ray):
    pool = ActorPool([Worker.remote(), Worker.remote()])
    results = pool.map_unordered(double, ["die", 1, 2, 3])
    got = []
    for _ in range(4):
        try:
            got.append(pool.get_next_unordered())
        except miniray.exceptions.ActorDiedError:
            got.append("died")
    assert sorted(map(str, got)) == ["2", "4", "6", "died"]
    del results
    pool.submit(double, "die")
    pool.submit(double, 5)
    with pytest.raises(miniray.exceptions.ActorDiedError):
        pool.get_next_unordered()
    with pytest.raises(miniray.exceptions.ActorDiedError, match="push"):
        pool.get_next_unordered()
    pool.push(Worker.remote())
    assert pool.get_next_unordered() == 10


# ---- Queue ---------------------------------------------------------------------------------------------------------

def test_queue(ray):
    q = Queue(maxsize=3)
    assert q.empty() and not q.full() and len(q) == q.size() == q.qsize() == 0
    for i in range(3):
        q.put(i)
    assert q.full() and len(q) == 3
    for wrong in (lambda: q.put(4, block=False), lambda: q.put_nowait(4), lambda: q.put(4, timeout=0.01),
                  lambda: q.put_nowait_batch([4])):
        with pytest.raises(Full):
            wrong()
    assert [q.get(), q.get(timeout=0), q.get_nowait()] == [0, 1, 2]
    for wrong in (lambda: q.get(block=False), q.get_nowait, lambda: q.get(timeout=0.01), lambda: q.get_nowait_batch(1)):
        with pytest.raises(Empty):
            wrong()
    assert issubclass(Empty, standard.Empty) and issubclass(Full, standard.Full)
    for wrong in (lambda: q.get(timeout=-1), lambda: q.put(1, timeout=-1), lambda: q.get_nowait_batch(-1)):
        with pytest.raises(ValueError):
            wrong()
    for wrong in (lambda: q.get_nowait_batch("1"), lambda: q.put_nowait_batch(1)):
        with pytest.raises(TypeError):
            wrong()


def test_queue_batches_are_whole(ray):
    q = Queue(maxsize=4)
    q.put_nowait_batch(range(3))
    with pytest.raises(Full, match="2 items.*size 3"):
        q.put_nowait_batch([8, 9])
    with pytest.raises(Empty, match="4 items.*size 3"):
        q.get_nowait_batch(4)
    assert q.get_nowait_batch(3) == [0, 1, 2] and q.get_nowait_batch(0) == []


def test_queue_between_tasks(ray):
    q = Queue()

    @ray.remote
    def produce(q, n):
        for i in range(n):
            q.put(i)

    @ray.remote
    def consume(q, n):
        return [q.get() for _ in range(n)]

    takers = [consume.remote(q, 5) for _ in range(2)]
    makers = [produce.remote(q, 5) for _ in range(2)]
    ray.get(makers)
    assert sorted(sum(ray.get(takers), [])) == sorted(2 * list(range(5)))


def test_queue_in_coroutines(ray):
    q = Queue(maxsize=1)

    async def main():
        await q.put_async("a")
        with pytest.raises(Full):
            await q.put_async("b", block=False)
        with pytest.raises(Full):
            await q.put_async("b", timeout=0.01)
        assert await q.get_async() == "a"
        with pytest.raises(Empty):
            await q.get_async(block=False)
        with pytest.raises(Empty):
            await q.get_async(timeout=0.01)
        return (await asyncio.gather(q.get_async(), q.put_async("c")))[0]

    assert asyncio.run(main()) == "c"


def test_queue_shutdown(ray):
    for force in (False, True):
        q = Queue(actor_options={"num_cpus": 0})
        q.put(1)
        q.shutdown(force=force)
        with pytest.raises(miniray.exceptions.RayActorError):
            q.get(timeout=5)


# ---- Event, Lock, Semaphore ----------------------------------------------------------------------------------------

def test_event(ray):
    event = Event()
    assert not event.is_set() and not event.wait(timeout=0.01)
    waits = ray.remote(lambda e: e.wait())
    refs = [waits.remote(event) for _ in range(3)]
    assert not ray.wait(refs, timeout=0.05)[0]
    event.set()
    assert ray.get(refs) == [True] * 3 and event.is_set() and event.wait()
    event.clear()
    assert not event.is_set() and not asyncio.run(event.wait_async(timeout=0.01))


def test_a_lock_is_held_by_one(ray):
    lock, trace = Lock(), Queue()

    @ray.remote
    def work(lock, trace, me):
        for _ in range(5):
            with lock:
                trace.put((me, "in"))
                trace.put((me, "out"))

    ray.get([work.remote(lock, trace, i) for i in range(3)])
    steps = trace.get_nowait_batch(30)
    assert all(a[0] == b[0] and (a[1], b[1]) == ("in", "out") for a, b in zip(steps[::2], steps[1::2]))
    assert not lock.locked()


def test_lock_acquire(ray):
    lock = Lock()
    assert lock.acquire() and lock.locked()
    assert not lock.acquire(blocking=False) and not lock.acquire(timeout=0.01)
    lock.release()
    with pytest.raises(RuntimeError, match="unlocked"):
        lock.release()
    with pytest.raises(ValueError):
        lock.acquire(blocking=False, timeout=1)

    async def main():
        async with lock:
            return lock.locked(), await lock.acquire_async(timeout=0.01)

    assert asyncio.run(main()) == (True, False) and not lock.locked()


def test_semaphore(ray):
    permits = Semaphore(2)
    assert permits.acquire() and permits.acquire(blocking=False) and not permits.acquire(timeout=0.01)
    permits.release(2)
    with permits:
        assert permits.acquire(blocking=False) and not permits.acquire(blocking=False)
    for wrong in (lambda: Semaphore(-1), lambda: permits.release(0)):
        with pytest.raises(ValueError):
            wrong()


# ---- bars ----------------------------------------------------------------------------------------------------------

def test_bars_of_workers_are_lines_of_their_own(capfd):
    @miniray.remote
    def load(name):
        print("between")
        return sum(tqdm(range(50), desc=name))

    with miniray.init(num_cpus=2):
        assert miniray.get([load.remote("first"), load.remote("second")]) == [1225, 1225]
    lines = capfd.readouterr().out.splitlines()
    assert sorted(line.partition(") ")[2] for line in lines if "between" not in line) == ["first: 50/50", "second: 50/50"]


def test_a_bar_in_the_driver(capfd):
    with tqdm(total=3, desc="steps") as bar:
        bar.update()
        bar.set_description("more")
        bar.update(2)
    assert list(tqdm(iter("ab"))) == ["a", "b"]
    assert capfd.readouterr().out == "more: 3/3\nprogress: 2\n"
    with pytest.raises(TypeError, match="update"):
        next(iter(tqdm(total=3)))


def test_bars_on_a_terminal():
    from rich.console import Console

    screen = io.StringIO()
    shown = Display(Console(file=screen, force_terminal=True, width=100))
    for n in range(3):
        for key in "ab":
            shown.show({"key": key, "desc": f"bar {key}", "n": n, "total": 2, "closed": n == 2}, "(f pid=1) ")
    text = screen.getvalue()
    assert "(f pid=1) bar a" in text and "(f pid=1) bar b" in text and "2/2" in text
    assert threading.active_count() < 50 and shown._live is None


# ---- the rest ------------------------------------------------------------------------------------------------------

class Holder:
    def __init__(self):
        self.fine = 1
        self.parts = [{"lock": threading.Lock()}]


def test_inspect_serializability():
    out = io.StringIO()
    assert miniray.util.inspect_serializability([1, "a"], print_file=out) == (True, set())
    lock = threading.Lock()

    def uses():
        return lock

    ok, found = miniray.util.inspect_serializability(uses, name="uses", print_file=out)
    assert not ok and {(f.obj, f.name, f.parent) for f in found} == {(lock, "uses uses lock", uses)}
    assert "lock" in out.getvalue()
    ok, found = miniray.util.inspect_serializability(Holder(), depth=5, print_file=out)
    assert not ok and [f.name for f in found] == ["Holder.parts[0]['lock']"]


@pytest.mark.parametrize("thing, where", [
    (Holder(), r".parts[0]['lock'] (a lock)"), ([1, (2, threading.Lock())], "[1][1] (a lock)"),
    ((lambda lock: lambda: lock)(threading.Lock()), "uses lock (a lock)"), ({"a": {1: (x for x in "")}}, "['a'][1] (a generator)"),
])
def test_what_cannot_be_put_is_named(ray, thing, where):
    with pytest.raises(TypeError) as told:
        ray.put(thing)
    assert where in str(told.value)


def test_names():
    assert miniray.util.get_node_ip_address() == "127.0.0.1"
    assert miniray.util.queue.Queue is Queue and miniray.util.ActorPool is ActorPool
    with pytest.raises(AttributeError, match="it has .*ActorPool"):
        miniray.util.iter
