"""Who holds what: each kind of holder keeps an object, and lets go of it; an object that nobody holds is gone."""

import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import pytest

import miniray
from miniray import _session
from stored import nothing_stored, stats

MB = 1 << 20


def bytes_of(seed, size):
    return np.full(size, seed % 251, np.uint8)


@pytest.fixture
def ray(until):
    miniray.init(num_workers=2, object_store_memory=64 * MB)
    yield miniray
    try:
        until(nothing_stored, "an empty store")
    finally:
        miniray.shutdown()


def alive(seen):
    return stats()["object_bytes"] >= seen


def with_closures():
    """Two functions and a class that have an object of the store in them, one that calls another, and one that has an array."""
    ref, array = miniray.put(bytes_of(3, MB)), bytes_of(3, MB)

    @miniray.remote
    def looks(depth=0):
        return miniray.get(looks.remote(depth - 1)) if depth else int(miniray.get(ref)[0])

    @miniray.remote
    def calls():
        return miniray.get(looks.remote(1))

    @miniray.remote
    def sees():
        return int(array[0])

    @miniray.remote(num_cpus=0)
    class Actor:
        def looks(self):
            return int(miniray.get(ref)[0])

        def its_class(self):
            return Actor

    return looks, calls, sees, Actor


def test_closures_of_functions_hold_until_nobody_can_call_them(ray, until):
    def at_most(size):
        gc.collect()  # one that calls itself is a cycle
        return not alive(size + 1)

    looks, calls, sees, Actor = with_closures()
    assert miniray.get([calls.remote(), sees.remote(), looks.options(num_cpus=0.5).remote(2)]) == [3, 3, 3]
    del looks, Actor
    assert miniray.get([calls.remote() for _ in range(4)]) == [3] * 4 and alive(MB)
    del calls
    assert miniray.get(sees.remote()) == 3
    until(lambda: at_most(1.5 * MB), "the object goes with the last that looks at it")
    assert alive(MB)
    del sees
    until(lambda: at_most(0), "nothing")

    actor = with_closures()[3].options(name="known").remote()
    gc.collect()
    assert miniray.get([actor.looks.remote(), miniray.get_actor("known").looks.remote()]) == [3, 3] and alive(MB)
    again = miniray.get(actor.its_class.remote())
    del actor
    other = again.remote()
    assert miniray.get(other.looks.remote()) == 3
    del other, again
    until(lambda: at_most(0), "nothing")


def test_what_holds_a_function_holds_its_closure(ray, until):
    @miniray.remote(num_cpus=2)
    def waits(ready):
        miniray.get(ready[0])

    gate = miniray.util.queue.Queue(actor_options={"num_cpus": 0})
    blocked = waits.remote([gate.actor.get.remote(20)])
    looks = with_closures()[0]
    queued = looks.remote()  # its task waits for the CPUs
    inside = miniray.put({"f": looks})
    del looks
    gc.collect()
    assert alive(MB)
    gate.put(1)
    assert miniray.get(queued) == 3
    miniray.get(blocked)
    del queued
    assert alive(MB) and miniray.get(miniray.get(inside)["f"].remote()) == 3
    del inside
    until(lambda: not alive(MB), "nothing but the queue")
    gate.shutdown()
    del gate, blocked


def test_constructor_arguments_stay_while_a_restart_is_possible(ray, until):
    @miniray.remote(max_restarts=1)
    class Actor:
        def __init__(self, view):
            self.first = int(view[0])

        def ask(self):
            return self.first, os.getpid()

    actor = Actor.remote(miniray.put(bytes_of(9, MB)))
    first, pid = miniray.get(actor.ask.remote())
    assert first == 9 and alive(MB)
    os.kill(pid, signal.SIGKILL)

    def again():
        try:
            return miniray.get(actor.ask.remote(), timeout=20)[1] != pid
        except miniray.exceptions.RayActorError:
            return False

    until(again, "the second life")
    assert miniray.get(actor.ask.remote())[0] == 9
    until(lambda: not alive(MB), "the arguments go with the last restart")
    miniray.kill(actor)


def test_unread_items_of_a_stream_hold_and_go_with_it(ray, until):
    @miniray.remote
    def items():
        for i in range(3):
            yield bytes_of(i, MB)

    stream = items.remote()
    until(lambda: alive(3 * MB), "three items")
    assert miniray.get(next(stream))[0] == 0
    del stream


def test_containers_hold_what_they_contain(ray):
    inner = miniray.put(bytes_of(5, MB))
    outer = miniray.put({"a": [inner]})
    outermost = miniray.put([outer])
    del inner, outer
    assert alive(MB)
    assert miniray.get(miniray.get(miniray.get(outermost)[0])["a"][0])[0] == 5


def test_an_object_outlives_the_worker_that_put_it(ray):
    @miniray.remote
    def makes():
        return [miniray.put(bytes_of(4, MB))], os.getpid()

    (ref,), pid = miniray.get(makes.remote())
    os.kill(pid, signal.SIGKILL)
    assert (miniray.get(ref) == 4).all()


def test_a_pickle_by_hand_holds_for_the_session_and_is_listed(ray):
    ref = miniray.put(bytes_of(6, MB))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        text = pickle.dumps(ref)
        pickle.dumps(ref)
    assert len(told) <= 1  # once a process
    assert [o["pinned"] for o in _session.state("objects") if int(o["object"], 16) == ref._id] == [True]
    del ref
    gc.collect()
    again = pickle.loads(text)
    assert (miniray.get(again) == 6).all() and alive(MB)
    miniray.free(again)


def test_references_of_another_session(until):
    miniray.init(num_workers=1)
    old = miniray.put(1)
    miniray.shutdown()
    miniray.init(num_workers=1)

    @miniray.remote
    def f(x):
        return x

    for use in (lambda: miniray.get(old, timeout=20), lambda: miniray.wait([old]), lambda: f.remote(old), lambda: miniray.put([old]) and
                miniray.get(miniray.get(miniray.put([old]))[0], timeout=20)):
        with pytest.raises(miniray.exceptions.RayError):
            use()
    miniray.shutdown()


# ------------------------------------------------------------------------------------------------------- exceptions


class Odd(Exception):
    """Pickles, but does not unpickle: it goes without its __init__."""

    def __init__(self, ref, other):
        super().__init__(ref)
        self.other = other


def raise_one(how):
    ref = miniray.put(bytes_of(7, MB))
    if how == "attribute":
        exc = ValueError("no argument")
        exc.ref = ref
        raise exc
    if how == "cause":
        try:
            raise KeyError(ref)
        except KeyError as why:
            raise ValueError("because") from why
    if how == "odd":
        raise Odd(ref, {ref})
    raise ValueError([ref])


@miniray.remote
def raises(how="argument"):
    raise_one(how)


@miniray.remote
def raises_again(refs):
    try:
        miniray.get(refs[0])
    except ValueError as why:
        raise RuntimeError("again") from why


@miniray.remote
def takes(_value):
    pass


@miniray.remote
def items():
    yield 1
    raise_one("argument")


@miniray.remote
class Raises:
    def __init__(self, at_once=False):
        if at_once:
            raise_one("argument")

    def call(self):
        raise_one("argument")


@miniray.remote
class RaisesAsync:
    async def call(self):
        raise_one("argument")


def refs_of(exc):
    """All that can be reached from an exception."""
    found, todo, seen = set(), [exc], set()
    while todo:
        at = todo.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        if isinstance(at, miniray.ObjectRef):
            found.add(at)
        elif isinstance(at, BaseException):
            todo += [at.args, at.__dict__, at.__cause__, at.__context__]
        elif isinstance(at, (list, tuple, set, dict)):
            todo += at.values() if isinstance(at, dict) else at
    return found


def raised(ref):
    try:
        miniray.get(ref)
    except Exception as why:
        return why.with_traceback(None)
    raise AssertionError("it raised nothing")


def test_an_error_holds_the_references_in_it(ray, until):
    threaded, plain, asynchronous = Raises.options(max_concurrency=2).remote(), Raises.remote(), RaisesAsync.remote()
    makers = [raises.remote, lambda: raises.remote("attribute"), lambda: raises.remote("cause"), lambda: raises.remote("odd"),
              raises.options(num_returns=2).remote, lambda: raises_again.remote([raises.remote()]),
              lambda: takes.remote(raises.remote()), lambda: list(items.remote())[-1], plain.call.remote, threaded.call.remote,
              asynchronous.call.remote, lambda: Raises.remote(True).call.remote()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in makers:
            made = make()
            ref = made[-1] if isinstance(made, list) else made
            del made
            first = raised(ref)
            (inside,) = refs_of(first)
            del inside, first
            assert alive(MB)  # by the error, which is an object like others
            again = raised(ref)
            del ref
            (inside,) = refs_of(again)
            assert miniray.get(inside)[0] == 7  # by the exception alone
            del again, inside
            until(lambda: not alive(MB), f"the object goes with the last error, {makers.index(make)}")
    for actor in (threaded, plain, asynchronous):
        miniray.kill(actor)


def test_an_exception_as_a_value_holds_too(ray, until):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ref = miniray.put(ValueError(miniray.put(bytes_of(7, MB))))
        assert alive(MB) and miniray.get(miniray.get(ref).args[0])[0] == 7
        error = raised(raises.remote())  # one that came from a task, as a value and as an argument
        passed = miniray.put([error])
        del error
        assert miniray.get(*refs_of(miniray.get(passed)[0]))[0] == 7
        del ref, passed
    until(lambda: not alive(1), "both are gone")


def test_a_driver_that_sleeps_keeps_nothing_that_it_gave_up(tmp_path):
    """Nothing of this process calls miniray between the `del` and the end of the wait."""
    config = tmp_path / "full.ini"
    config.write_text("[store]\nspill = false\nfull_wait = 20s\n")
    miniray.init(num_cpus=1, object_store_memory=16 << 20, config=str(config))
    told = tmp_path / "told"

    @miniray.remote
    class Other:
        def put(self):
            time.sleep(0.5)
            miniray.put(bytes(10 << 20))
            (tmp_path / "new").write_text("is there")
            (tmp_path / "new").rename(told)

        def ready(self):
            return True

    def look():
        return json.loads(subprocess.run([sys.executable, "-m", "miniray", "memory", "--json", "--session", str(os.getpid())],
                                         capture_output=True, check=True).stdout)

    other = Other.remote()
    miniray.get(other.ready.remote())
    ref = miniray.put(bytes(9 << 20))
    end = other.put.remote()
    view = miniray.get(ref)
    del ref, view
    subprocess.run(["timeout", "15", "sh", "-c", f"until [ -e {told} ]; do sleep 0.05; done"], check=True)  # runs no Python meanwhile
    big = miniray.put(bytes(1 << 20))
    assert any(row["size"] >= 1 << 20 for row in look())
    del big
    assert not any(row["size"] >= 1 << 20 for row in look()), "who looks from outside sees what is still held"
    miniray.get(end)
    miniray.shutdown()


@pytest.mark.parametrize("size", [8, MB])
def test_what_waits_for_its_turn_learns_that_its_argument_was_freed(ray, size):
    """And only that: the process that it was to run in, with the actor in it, goes on."""
    @ray.remote(num_cpus=2)
    class Busy:
        def until(self, path):
            while not os.path.exists(path):
                time.sleep(0.01)

        def read(self, value):
            return value.nbytes

    with tempfile.TemporaryDirectory() as folder:
        actor, path, ref = Busy.remote(), os.path.join(folder, "go on"), ray.put(bytes_of(1, size))
        waits = [actor.until.remote(path), *(actor.read.options(name=f"read {i}").remote(ref) for i in range(300))]
        last = actor.read.remote(bytes_of(1, 3))
        ray.free([ref])
        open(path, "w").close()
        assert ray.get(last) == 3
        assert ray.get(waits[0]) is None
        for read in waits[1:]:
            try:
                assert ray.get(read) == size, "it had been sent"
            except miniray.exceptions.ObjectFreedError:
                pass
        with pytest.raises(miniray.exceptions.ObjectFreedError, match="before it could be read by read 299"):
            ray.get(waits[-1])
