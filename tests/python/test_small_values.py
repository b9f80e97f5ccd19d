"""Values that travel inline count in the capacity: what is said when they fill it and nothing can leave."""

import gc

import pytest

import miniray
from miniray import _session

MB = 1 << 20


def test_small_values_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setenv("MINIRAY_STORE_SPILL", "false")
    miniray.init(num_workers=1, object_store_memory=4 * MB)
    try:
        keep = []
        with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="are small and outside the store"):
            for _ in range(2000):
                keep.append(miniray.put(b"x" * 4000))
        assert 4 * MB // 5000 < len(keep) <= 4 * MB // 4000
        del keep[:100]
        gc.collect()
        for _ in range(90):
            keep.append(miniray.put(b"y" * 4000))
        assert all(miniray.get(r)[:1] in (b"x", b"y") for r in keep)
    finally:
        miniray.shutdown()


def test_small_values_of_workers_that_do_not_fit_are_refused(until, monkeypatch):
    monkeypatch.setenv("MINIRAY_STORE_SPILL", "false")
    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "50ms")
    miniray.init(num_workers=1, object_store_memory=4 * MB)
    most = 4 * MB // 4000 + 70  # and what was in its ring when it was found out

    @miniray.remote
    def fill():
        keep, why = [], ""
        try:
            while len(keep) < 3000:
                keep.append(miniray.put(b"x" * 4000))
        except miniray.exceptions.ObjectStoreFullError as e:
            why = str(e)
        good = all(miniray.get(ref) == b"x" * 4000 for ref in keep)
        return len(keep), why, good

    @miniray.remote
    def give(n):
        return b"y" * n

    @miniray.remote
    def items():
        for _ in range(3000):
            yield b"z" * 4000

    @miniray.remote
    def fail():
        raise KeyError("x" * 1000)

    try:
        miniray.wait([fail.remote()])  # its code is an object too
        for _ in range(2):
            count, why, good = miniray.get(fill.remote(), timeout=60)
            assert 4 * MB // 5000 < count <= most and good
            assert "no room for an object of 40" in why and "small and outside the store" in why
        keep = []
        with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="small and outside the store"):
            for _ in range(30):
                some = [give.remote(4000) for _ in range(100)]
                miniray.wait(some, num_returns=100, timeout=60)
                keep += some
                miniray.get(some[-1], timeout=60)
        assert 4 * MB // 5000 < len(keep) <= most + 100
        with pytest.raises(KeyError):
            miniray.get(fail.remote(), timeout=60)
        del some, keep
        gc.collect()
        seen = []
        with pytest.raises(miniray.exceptions.ObjectStoreFullError):
            for ref in items.remote():
                miniray.get(ref)
                seen.append(ref)
        assert 4 * MB // 5000 < len(seen) <= most
        del seen, ref
        gc.collect()
        assert miniray.get([give.remote(4000) for _ in range(500)], timeout=60) == [b"y" * 4000] * 500
        until(lambda: _session.state("stats")["inline_bytes"] < MB, "the end of what was small")
    finally:
        miniray.shutdown()
