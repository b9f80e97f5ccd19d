"""Random programs of put, get, del, tasks, workers that die and a store that is too small, against a plain dict; and who holds
what: each kind of holder keeps an object, and lets go of it."""

import gc
import os
import pickle
import signal
import time
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import miniray
from miniray import _session

MB = 1 << 20
LEVEL = int(os.environ.get("MINIRAY_TEST_LEVEL", "1"))
SIZES = st.sampled_from([0, 1, 4096, 5000, 100_000, MB, 3 * MB, 6 * MB])


def stats():
    miniray._core.flush()
    return _session.state("stats")


def nothing_stored():
    gc.collect()
    now = stats()
    return now["store_used"] == 0 and now["object_bytes"] == 0 and now["disk_bytes"] == 0


def bytes_of(seed, size):
    return np.full(size, seed % 251, np.uint8)


@miniray.remote(max_retries=5)
def make(seed, size):
    return bytes_of(seed, size)


@miniray.remote(max_retries=5)
def plus_one(v):
    return v + np.uint8(1)


@miniray.remote(max_retries=5)
def sums(refs):
    return [int(np.asarray(v, np.uint64).sum()) for v in miniray.get(refs)]


@miniray.remote(max_retries=5)
def nest(seed, size):
    return [miniray.put(bytes_of(seed, size))]


class Objects(RuleBasedStateMachine):
    """Up to 30 objects of up to 6 MB in a store of 24: most of them lie on the disk."""

    def __init__(self):
        super().__init__()
        miniray.init(num_workers=2, store=self.store, object_store_memory=24 * MB)
        self.refs, self.want, self.views = [], [], []

    def add(self, ref, seed, size):
        self.refs.append(ref)
        self.want.append((seed % 251, size))

    @precondition(lambda self: len(self.refs) < 30)
    @rule(seed=st.integers(0, 1000), size=SIZES)
    def put(self, seed, size):
        self.add(miniray.put(bytes_of(seed, size)), seed, size)

    @precondition(lambda self: len(self.refs) < 30)
    @rule(seed=st.integers(0, 1000), size=SIZES)
    def task(self, seed, size):
        self.add(make.remote(seed, size), seed, size)

    @precondition(lambda self: len(self.refs) < 30)
    @rule(seed=st.integers(0, 1000), size=SIZES)
    def nested(self, seed, size):
        self.add(miniray.get(nest.remote(seed, size), timeout=60)[0], seed, size)

    @precondition(lambda self: self.refs and len(self.refs) < 30)
    @rule(data=st.data())
    def chain(self, data):
        i = data.draw(st.integers(0, len(self.refs) - 1))
        seed, size = self.want[i]
        self.add(plus_one.remote(self.refs[i]), seed + 1, size)

    @precondition(lambda self: self.refs)
    @rule(data=st.data())
    def get(self, data):
        i = data.draw(st.integers(0, len(self.refs) - 1))
        v = miniray.get(self.refs[i], timeout=60)
        assert v.nbytes == self.want[i][1] and (v == self.want[i][0]).all()

    @precondition(lambda self: self.refs and not self.views)
    @rule(data=st.data())
    def look(self, data):
        i = data.draw(st.integers(0, len(self.refs) - 1))
        self.views.append((miniray.get(self.refs[i], timeout=60), self.want[i][0]))

    @precondition(lambda self: self.views)
    @rule()
    def look_away(self):
        v, seed = self.views.pop()
        assert (v == seed).all()

    @precondition(lambda self: self.refs)
    @rule(data=st.data())
    def worker_gets(self, data):
        some = data.draw(st.lists(st.integers(0, len(self.refs) - 1), min_size=1, max_size=2, unique=True))
        got = miniray.get(sums.remote([self.refs[i] for i in some]), timeout=60)
        assert got == [self.want[i][0] * self.want[i][1] for i in some]

    @precondition(lambda self: self.refs)
    @rule(data=st.data())
    def drop(self, data):
        i = data.draw(st.integers(0, len(self.refs) - 1))
        del self.refs[i], self.want[i]

    @precondition(lambda self: self.refs)
    @rule(data=st.data())
    def free(self, data):
        i = data.draw(st.integers(0, len(self.refs) - 1))
        miniray.wait([self.refs[i]], timeout=60)
        miniray.free(self.refs[i])
        with pytest.raises(miniray.exceptions.ObjectFreedError):
            miniray.get(self.refs[i], timeout=60)
        del self.refs[i], self.want[i]

    @rule()
    def kill_a_worker(self):
        pids = [w["pid"] for w in _session.state("workers") if w["pid"] > 0]
        if pids:
            try:
                os.kill(pids[0], signal.SIGKILL)
            except ProcessLookupError:
                pass

    @invariant()
    def never_more_than_the_capacity(self):
        now = stats()
        assert now["store_used"] <= now["store_capacity"]

    def teardown(self):
        try:
            for ref, (seed, size) in zip(self.refs, self.want):
                v = miniray.get(ref, timeout=60)
                assert v.nbytes == size and (v == seed).all()
                del v, ref
            self.refs.clear()
            self.views.clear()
            deadline = time.monotonic() + 20
            while not nothing_stored() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert nothing_stored(), (stats(), _session.state("objects"), _session.state("tasks"))
        finally:
            miniray.shutdown()


@pytest.mark.parametrize("store", ["store-shm", "store-mem", "store-file"])
def test_random_programs(store):
    class Machine(Objects):
        pass

    Machine.store = store
    case = Machine.TestCase
    case.settings = settings(max_examples=3 * LEVEL, stateful_step_count=30, deadline=None, derandomize=LEVEL == 1,
                             suppress_health_check=list(HealthCheck))
    case().runTest()


# ---------------------------------------------------------------------------------------------------------- holders


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


def test_a_closure_of_a_function_holds(ray, until):
    ref = miniray.put(bytes_of(3, MB))

    @miniray.remote
    def looks():
        return int(miniray.get(ref)[0])

    assert miniray.get(looks.remote()) == 3
    del ref
    assert miniray.get(looks.remote()) == 3 and alive(MB)
    # The closure is the session's: it is exported once.  The code itself is freed with it.
    code = [o for o in _session.state("objects") if o["size"] > MB / 2]
    assert len(code) == 1
    miniray.free([miniray.ObjectRef(bytes.fromhex(_hex(code[0]["object"])))])


def _hex(object_id):
    session = miniray._core.session_number()
    return f"{session:016x}{int(object_id, 16) & (1 << 64) - 1:016x}".ljust(56, "0") if len(object_id) <= 16 else object_id


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
