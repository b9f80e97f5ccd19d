"""What objects take and give back: free() under views, and garbage before a full store is an error."""

import gc
import os
import time

import numpy as np
import pytest

import miniray

MB = 1 << 20


@pytest.fixture(params=["store-shm", "store-mem"])
def small(request):
    """A session whose store holds 32 MB."""
    miniray.init(num_workers=2, store=request.param, object_store_memory=32 * MB)
    yield miniray
    miniray.shutdown()


@pytest.mark.parametrize("size", [1000, 4 * MB])
def test_free_leaves_what_is_looked_at(small, size):
    want = np.frombuffer(os.urandom(size), np.uint8)
    ref = miniray.put(want)
    view = miniray.get(ref)
    miniray.free(ref)
    with pytest.raises(miniray.exceptions.ObjectFreedError):
        miniray.get(ref, timeout=20)
    others = [miniray.put(np.zeros(size, np.uint8)) for _ in range(4)]  # would land where it was
    assert (view == want).all()
    part = view[: size // 2]
    del view, ref
    others += [miniray.put(np.ones(size, np.uint8)) for _ in range(2)]
    assert (part == want[: size // 2]).all()


def test_free_in_a_worker_that_looks(small, tmp_path, until):
    @miniray.remote
    def looks(refs, path):
        return _wait(miniray.get(refs[0]), path)

    @miniray.remote
    def argument(view, path):
        return _wait(view, path)

    def _wait(view, path):
        before = int(view.sum())
        open(path, "w").close()
        while not os.path.exists(path + ".go"):
            pass
        return before == int(view.sum())

    ref, second = (miniray.put(np.full(4 * MB, 7, np.uint8)) for _ in range(2))
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    results = [looks.remote([ref], paths[0]), argument.remote(second, paths[1])]
    for path in paths:
        until(lambda: os.path.exists(path))
    miniray.free([ref, second])
    others = [miniray.put(np.zeros(4 * MB, np.uint8)) for _ in range(2)]
    for path in paths:
        open(path + ".go", "w").close()
    assert miniray.get(results, timeout=20) == [True, True]
    assert len(others) == 2


def test_freed_bytes_that_nobody_looks_at_are_there_at_once(small):
    for _ in range(10):  # five times what fits
        refs = [miniray.put(np.zeros(4 * MB, np.uint8)) for _ in range(4)]
        miniray.free(refs)
    with pytest.raises(miniray.exceptions.ObjectFreedError):
        miniray.get(refs[0], timeout=20)


class Knot:
    """A cycle: only the collector finds it."""

    def __init__(self, held):
        self.held, self.me = held, self


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_garbage_of_the_driver_goes_before_put_fails(small, no_gc):
    for _ in range(12):
        Knot(miniray.put(np.zeros(8 * MB, np.uint8)))


def test_a_put_is_refused_also_where_looking_for_garbage_takes_long(monkeypatch):
    looks = []

    def slow(phase, info):
        if phase == "start":
            looks.append(info)
            time.sleep(0.1)

    monkeypatch.setenv("MINIRAY_STORE_SPILL", "false")
    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "300ms")
    miniray.init(num_workers=1, object_store_memory=64 * MB)
    try:
        kept = miniray.put(np.zeros(60 * MB, np.uint8))
        gc.collect()
        gc.callbacks.append(slow)
        with pytest.raises(miniray.exceptions.ObjectStoreFullError):
            miniray.put(np.zeros(8 * MB, np.uint8))
        assert 1 <= len(looks) <= 8  # 16 where each look counts as the 20 ms of a step
        del kept
    finally:
        gc.callbacks.remove(slow)
        miniray.shutdown()


def test_garbage_of_the_driver_goes_before_a_task_fails(small, no_gc):
    @miniray.remote
    def make():
        return np.zeros(8 * MB, np.uint8)

    for _ in range(12):
        ref = make.remote()
        miniray.wait([ref], timeout=20)
        assert miniray.get(ref, timeout=20).nbytes == 8 * MB
        Knot(ref)
        del ref


def test_garbage_of_a_driver_that_computes(small, no_gc, tmp_path):
    @miniray.remote
    def make(path):
        value = miniray.put(np.zeros(20 * MB, np.uint8))
        open(path, "w").close()
        return [value]

    Knot(miniray.put(np.zeros(20 * MB, np.uint8)))
    ref = make.remote(str(tmp_path / "done"))
    deadline = time.monotonic() + 20
    while not (tmp_path / "done").exists():  # Python runs all the time, no call of miniray
        assert time.monotonic() < deadline
    del ref


def test_garbage_of_workers_goes_before_put_fails(small):
    @miniray.remote
    class Keeps:
        def __init__(self):
            gc.disable()

        def knot(self):
            Knot(miniray.put(np.zeros(20 * MB, np.uint8)))

    actor = Keeps.remote()
    miniray.get(actor.knot.remote(), timeout=20)
    assert miniray.get(miniray.put(np.zeros(20 * MB, np.uint8))).nbytes == 20 * MB
