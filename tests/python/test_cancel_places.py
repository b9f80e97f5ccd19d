"""A cancel strikes wherever the task is: one test for each place."""

import os
import time

import pytest

import miniray

CANCELLED = miniray.exceptions.TaskCancelledError


def sleep_when_made(path, seconds):
    """What a Slow is when it is decoded: it says that it is being made, and takes its time."""
    open(path, "w").close()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
    return "made"


class Slow:
    def __init__(self, path, seconds=60):
        self.args = path, seconds

    def __reduce__(self):
        return sleep_when_made, self.args


def get_when_made(path, refs):
    open(path, "w").close()
    return miniray.get(refs[0])


class Getting:
    def __init__(self, path, ref):
        self.args = path, [ref]

    def __reduce__(self):
        return get_when_made, self.args


@miniray.remote
def take(*values):
    return len(values)


@miniray.remote
def hold(path, gate=None):
    open(path, "w").close()
    while gate is None or not os.path.exists(gate):
        time.sleep(0.01)


@miniray.remote
def items(value, n):
    yield from range(n)


def block(how, refs, path):
    open(path, "w").close()
    if how == "get":
        miniray.get(refs)
    else:
        miniray.wait(refs)


@miniray.remote
class Actor:
    def take(self, *values):
        return len(values)

    async def mark(self, path, value):
        open(path, "w").close()

    async def mark_later(self, path, value):
        import asyncio

        await asyncio.sleep(0)
        open(path, "w").close()

    async def block(self, how, refs, path):
        block(how, refs, path)


@miniray.remote
class Plain:
    def take(self, *values):
        return len(values)

    def items(self, value, n):
        yield from range(n)

    def mark(self, path, value):
        open(path, "w").close()

    def block(self, how, refs, path):
        block(how, refs, path)

    def pid(self):
        return os.getpid()


def cancelled(ref):
    with pytest.raises(CANCELLED):
        miniray.get(ref, timeout=20)


def all_free(until):
    until(lambda: miniray.available_resources().get("CPU") == 2, "the end of all that ran")


def test_waiting_for_arguments(ray, tmp_path, until):
    slow = hold.remote(str(tmp_path / "up"))
    ref = take.remote(slow)
    ray.cancel(ref)
    cancelled(ref)
    until((tmp_path / "up").exists)
    ray.cancel(slow)
    cancelled(slow)
    all_free(until)


def test_queued(ray, tmp_path, until):
    held = [hold.remote(str(tmp_path / f"{i}")) for i in range(2)]
    for i in range(2):
        until((tmp_path / f"{i}").exists)
    ref = hold.remote(str(tmp_path / "queued"))
    ray.cancel(ref)
    cancelled(ref)
    for one in held:
        ray.cancel(one)
        cancelled(one)
    all_free(until)
    assert not (tmp_path / "queued").exists()


def test_prefetched(ray, tmp_path, until):
    """Short tasks are sent behind the one that runs; those that are cancelled there never run."""
    ray.get([take.remote() for _ in range(500)])
    gate = str(tmp_path / "gate")
    held = [hold.remote(str(tmp_path / f"{i}"), gate) for i in range(2)]
    behind = [take.remote() for _ in range(60)]
    for i in range(2):
        until((tmp_path / f"{i}").exists)
    for ref in behind:
        ray.cancel(ref)
    open(gate, "w").close()
    ray.get(held, timeout=20)
    ended = 0
    for ref in behind:
        try:
            assert ray.get(ref, timeout=20) == 0
        except CANCELLED:
            ended += 1
    assert ended > 0, "what was not begun before the cancel came"
    all_free(until)


def test_queued_at_an_actor(ray, tmp_path, until):
    actor = Plain.remote()
    path = tmp_path / "up"
    running = actor.__ray_call__.remote(lambda self, p: hold._function(p), str(path))
    queued = actor.take.remote()
    until(path.exists)
    ray.cancel(queued)
    cancelled(queued)
    ray.cancel(running)
    cancelled(running)
    assert ray.get(actor.take.remote(1), timeout=20) == 1


def test_decoding_arguments(ray, tmp_path, until):
    paths = [tmp_path / f"{i}" for i in range(3)]
    actor = Plain.remote()
    pid = ray.get(actor.pid.remote())
    calls = [take.remote(Slow(str(paths[0]))), items.remote(Slow(str(paths[1])), 3), actor.take.remote(Slow(str(paths[2])))]
    for ref, path in zip(calls, paths):
        until(path.exists)
        ray.cancel(ref)
        if ref is calls[1]:
            with pytest.raises((CANCELLED, StopIteration)):
                for _ in range(4):
                    ray.get(next(ref), timeout=20)
        else:
            cancelled(ref)
    assert ray.get(actor.pid.remote(), timeout=20) == pid, "the actor goes on"
    all_free(until)


def test_decoding_arguments_that_get(ray, tmp_path, until):
    never = hold.options(num_cpus=0).remote(str(tmp_path / "never"))
    ref = take.remote(Getting(str(tmp_path / "up"), never))
    until((tmp_path / "up").exists)
    ray.cancel(ref)
    cancelled(ref)
    ray.cancel(never)
    cancelled(never)
    all_free(until)


@pytest.mark.parametrize("kind", ["async", "threaded"])
def test_decoding_arguments_beside_others(ray, tmp_path, until, kind):
    """No signal can be sent to what shares its thread or its process: it is struck when it has its arguments, and the method
    does not begin.  The waits of its arguments are."""
    actor = Actor.remote() if kind == "async" else Plain.options(max_concurrency=2).remote()
    ran = tmp_path / "ran"
    for method in [actor.mark, actor.mark_later] if kind == "async" else [actor.mark]:
        path = tmp_path / f"up-{method._name}"
        ref = method.remote(str(ran), Slow(str(path), 0.3))
        until(path.exists)
        ray.cancel(ref)
        cancelled(ref)
    never = hold.options(num_cpus=0).remote(str(tmp_path / "never"))
    ref = actor.take.remote(Getting(str(tmp_path / "gets"), never))
    until((tmp_path / "gets").exists)
    ray.cancel(ref)
    cancelled(ref)
    assert ray.get(actor.take.remote(1, 2), timeout=20) == 2 and not ran.exists()
    ray.cancel(never)
    cancelled(never)


@pytest.mark.parametrize("kind", ["async", "lane", "threaded"])
def test_blocked_beside_others(ray, tmp_path, until, kind):
    cls = {"async": Actor, "lane": Actor.options(concurrency_groups={"io": 2}), "threaded": Plain.options(max_concurrency=2)}[kind]
    actor = cls.remote()
    never = hold.options(num_cpus=0).remote(str(tmp_path / "never"))
    for how in ("get", "wait"):
        ref = actor.block.remote(how, [never], str(tmp_path / how))
        until((tmp_path / how).exists)
        ray.cancel(ref)
        cancelled(ref)
    assert ray.get(actor.take.remote(1, 2), timeout=20) == 2
    ray.cancel(never)
    cancelled(never)


def test_in_python_code(ray, tmp_path, until):
    @ray.remote
    def spin(path):
        open(path, "w").close()
        while True:
            pass

    ref = spin.remote(str(tmp_path / "up"))
    until((tmp_path / "up").exists)
    ray.cancel(ref)
    cancelled(ref)
    all_free(until)


@pytest.mark.parametrize("how", ["get", "wait", "next"])
def test_blocked(ray, tmp_path, until, how):
    @ray.remote
    def blocks(refs, path):
        open(path, "w").close()
        if how == "get":
            miniray.get(refs)
        elif how == "wait":
            miniray.wait(refs)
        else:
            next(items_of.remote(refs[0]))

    @ray.remote(num_cpus=0)
    def items_of(ref):
        yield miniray.get(ref)

    never = hold.options(num_cpus=0).remote(str(tmp_path / "never"))
    ref = blocks.remote([never], str(tmp_path / "up"))
    until((tmp_path / "up").exists)
    ray.cancel(ref, recursive=False)  # else next() may give the error of a stream that was cancelled first
    cancelled(ref)
    ray.cancel(never)
    cancelled(never)
    all_free(until)


def test_in_back_pressure(ray, until):
    stream = items.options(_generator_backpressure_num_objects=1).remote(None, 10**9)
    ref = next(stream)
    assert ray.get(ref) == 0
    ray.cancel(stream)
    with pytest.raises((CANCELLED, StopIteration)):
        for _ in range(100):
            ray.get(next(stream), timeout=20)
    all_free(until)


def test_awaiting(ray, tmp_path, until):
    import asyncio

    @ray.remote
    class A:
        async def wait(self, path):
            open(path, "w").close()
            await asyncio.Event().wait()

        async def get(self, refs, path):
            open(path, "w").close()
            await refs[0]

    actor = A.remote()
    never = hold.options(num_cpus=0).remote(str(tmp_path / "never"))
    calls = [actor.wait.remote(str(tmp_path / "a")), actor.get.remote([never], str(tmp_path / "b"))]
    for ref, name in zip(calls, "ab"):
        until((tmp_path / name).exists)
        ray.cancel(ref)
        cancelled(ref)
    ray.cancel(never)
    cancelled(never)


def test_finished(ray, tmp_path):
    actor = Plain.remote()
    stream = items.remote(None, 2)
    refs = [take.remote(1), actor.take.remote(1)]
    assert ray.get(refs) == [1, 1] and ray.get(stream.completed()) is None
    put = ray.put(3)
    for ref in (*refs, stream, put):
        ray.cancel(ref)
    assert ray.get([*refs, put]) == [1, 1, 3] and [ray.get(ref) for ref in stream] == [0, 1]
    assert ray.get(take.remote()) == 0


def test_the_constructor_of_an_actor(ray, tmp_path, until):
    """An actor has no reference to cancel; a kill ends it while its arguments are decoded."""
    @ray.remote
    class Made:
        def __init__(self, value):
            pass

        def f(self):
            return 1

    actor = Made.remote(Slow(str(tmp_path / "up")))
    call = actor.f.remote()
    until((tmp_path / "up").exists)
    ray.cancel(call)
    cancelled(call)
    ray.kill(actor)
    with pytest.raises(miniray.exceptions.ActorDiedError):
        ray.get(actor.f.remote(), timeout=20)
