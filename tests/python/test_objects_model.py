"""Random programs of put, get, del, tasks, workers that die and a store that is too small, against a plain dict."""

import os
import signal
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import miniray
from miniray import _session
from stored import nothing_stored, stats

MB = 1 << 20
LEVEL = int(os.environ.get("MRTEST_LEVEL", "1"))
SIZES = st.sampled_from([0, 1, 4096, 5000, 100_000, MB, 3 * MB, 6 * MB])


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
