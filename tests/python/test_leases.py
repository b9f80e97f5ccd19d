"""Results of a middling size are made in memory that their worker was lent: nothing of it may be lost, mixed up or kept."""

import gc
import os
import signal

import numpy as np
import pytest

import miniray
from stored import nothing_stored

MB = 1 << 20


@miniray.remote
def made(i, size):
    return np.full(size, i % 251, np.uint8)


def is_made(v, i, size):
    return v.nbytes == size and (v == i % 251).all()


@pytest.fixture(params=["store-shm", "store-mem"])
def session(request, until):
    """store-mem lends nothing: its values need room in two stores."""
    miniray.init(num_workers=2, store=request.param, object_store_memory=64 * MB)
    yield
    gc.collect()
    until(nothing_stored, "an empty store")
    miniray.shutdown()


def test_results_of_all_sizes(session):
    sizes = [4097, 10_000, 64, 0, 33_333, 65_536, 200_000, 5000, 7, 400_000]
    refs = [made.remote(i, sizes[i % len(sizes)]) for i in range(300)]
    for i, v in enumerate(miniray.get(refs)):
        assert is_made(v, i, sizes[i % len(sizes)]), i
    del v
    for i in range(0, 300, 3):
        refs[i] = made.remote(i + 1, 20_000)  # in what was given back
    for i in range(0, 300, 3):
        assert is_made(miniray.get(refs[i]), i + 1, 20_000)


def test_threads_streams_and_puts_share_a_lease(session):
    @miniray.remote(max_concurrency=8)
    class Maker:
        def make(self, i):
            inside = miniray.put(np.full(15_000, (i + 1) % 251, np.uint8))
            return np.full(6000 + i, i % 251, np.uint8), [inside]

    @miniray.remote(num_returns="streaming")
    def items():
        for i in range(60):
            yield np.full(9000 + i, i % 251, np.uint8)

    maker = Maker.remote()
    stream = items.remote()
    for i, (v, inside) in enumerate(miniray.get([maker.make.remote(i) for i in range(200)])):
        assert is_made(v, i, 6000 + i) and is_made(miniray.get(inside[0]), i + 1, 15_000)
    for i, ref in enumerate(stream):
        assert is_made(miniray.get(ref), i, 9000 + i)
    del v, inside


def test_a_killed_worker_leaves_nothing_of_its_lease(session):
    @miniray.remote(max_retries=5)
    def dies(i, box):
        kept = [miniray.put(np.zeros(10_000, np.uint8)) for _ in range(5)]
        if i % 4 == 0 and not os.path.exists(f"{box}{i}"):
            open(f"{box}{i}", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full(20_000, i % 251, np.uint8), len(kept)

    box = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"leases-{os.getpid()}-")
    try:
        for i, (v, n) in enumerate(miniray.get([dies.remote(i, box) for i in range(20)], timeout=60)):
            assert is_made(v, i, 20_000) and n == 5
        del v
    finally:
        for i in range(20):
            if os.path.exists(f"{box}{i}"):
                os.remove(f"{box}{i}")


def test_a_full_store_gets_its_leases_back(session):
    refs = [made.remote(i, 10_000) for i in range(100)]  # the leases of some end with their last byte
    miniray.wait(refs, num_returns=100)
    del refs
    for _ in range(3):
        whole = miniray.put(np.ones(64 * MB - 4096, np.uint8))
        assert miniray.get(whole)[-1] == 1
        del whole
        assert is_made(miniray.get(made.remote(1, 30_000)), 1, 30_000)
