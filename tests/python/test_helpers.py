"""miniray.util's small helpers."""

from __future__ import annotations

import threading

import pytest

import miniray
from miniray import util


@miniray.remote
def double(x):
    if x == 1300:
        raise ValueError("thirteen hundred")
    return 2 * x


def test_as_completed_gives_all_once(ray):
    assert sorted(util.as_completed([double.remote(i) for i in range(10)], chunk_size=3)) == list(range(0, 20, 2))
    refs = [double.remote(i) for i in range(5)]
    assert set(util.as_completed(refs, yield_obj_refs=True)) == set(refs)
    assert list(util.as_completed([])) == []
    with pytest.raises(ValueError, match="thirteen hundred"):
        list(util.as_completed([double.remote(1300)]))
    with pytest.raises(ValueError, match="chunk_size"):
        list(util.as_completed(refs, chunk_size=0))


def test_map_unordered_keeps_few_in_flight(ray):
    taken = []

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    results = util.map_unordered(double, items(), backpressure_size=5, chunk_size=2)
    first = next(results)
    assert len(taken) == 6
    assert sorted([first, *results]) == [2 * i for i in range(50)]
    with pytest.raises(ValueError, match="backpressure_size"):
        next(util.map_unordered(double, [1], backpressure_size=1, chunk_size=2))


class Held:
    def __init__(self, x):
        self.x = x
        self.lock = threading.Lock()  # cannot be pickled


def test_serializers_travel(ray):
    with pytest.raises(TypeError):
        ray.put(Held(1))
    util.register_serializer(Held, serializer=lambda h: h.x, deserializer=lambda x: Held(x + 1))
    try:
        assert ray.get(ray.remote(lambda h: h.x).remote(Held(3))) == 4
        assert ray.get(ray.put(Held(3))).x == 4
    finally:
        util.deregister_serializer(Held)
        util.deregister_serializer(Held)
    with pytest.raises(TypeError):
        ray.put(Held(1))
    with pytest.raises(TypeError, match="a class"):
        util.register_serializer(5, serializer=repr, deserializer=repr)


def test_log_once(monkeypatch):
    from miniray.util import helpers

    for name, value in (("_logged", set()), ("_off", False), ("_period", None)):
        monkeypatch.setattr(helpers, name, value)
    assert [util.log_once("a"), util.log_once("a"), util.log_once("b")] == [True, False, True]
    util.disable_log_once_globally()
    assert not util.log_once("c")
    util.enable_periodic_logging()
    assert util.log_once("c") and not util.log_once("c")
    monkeypatch.setattr(helpers, "_since", helpers._since - 61)
    assert util.log_once("c")


def test_the_session_has_a_folder(ray):
    import os

    assert os.path.isdir(ray.get_runtime_context().get_temp_dir())
