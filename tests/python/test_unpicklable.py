"""What cannot be pickled is named by its path, wherever it is handed over and however much lies around it."""

import collections
import multiprocessing
import threading

import miniray
import numpy as np
import pytest

MANY = 10_000


class Part:
    def __init__(self, **parts):
        self.__dict__.update(parts)


class Slots:
    __slots__ = ("first", "handle")


class Refuses:
    def __getstate__(self):
        raise LookupError("this lock stays here")


class Reduced:
    def __reduce__(self):
        return list, ([1, threading.Lock()],)


def nested():
    return Part(a=Part(b=[0, 1, 2, threading.Lock()]))


def in_slots():
    out = Slots()
    out.first, out.handle = 1, threading.Lock()
    return out


def among(n, at):
    out = [Part(number=i) for i in range(n)]
    out[at] = nested()
    return out


VALUES = {
    "attributes": (nested, ".a.b[3] (a lock)"),
    "slots": (in_slots, ".handle (a lock)"),
    "first": (lambda: among(MANY, 0), "[0].a.b[3] (a lock)"),
    "last": (lambda: among(MANY, MANY - 1), f"[{MANY - 1}].a.b[3] (a lock)"),
    "between": (lambda: {"rows": among(MANY, 6789), "x": 1}, "['rows'][6789].a.b[3] (a lock)"),
    "dict": (lambda: {f"k{i}": threading.Lock() if i == 9876 else i for i in range(MANY)}, "['k9876'] (a lock)"),
    "array": (lambda: {"in": np.array([[1, 2], [{"k": threading.Lock()}, 3]], object)}, "['in'][1, 0]['k'] (a lock)"),
    "queue": (lambda: collections.deque([1, threading.Lock()]), "[1] (a lock)"),
    "exception": (lambda: Part(why=ValueError("x", threading.Lock())), ".why.args[1] (a lock)"),
    "reduced": (lambda: [Reduced()], "[0].__reduce_ex__(5)[1][0][1] (a lock)"),
    "refuses": (lambda: {"a": [Refuses()]}, "['a'][0] (a Refuses)"),
    "between processes": (lambda: {"l": [multiprocessing.Lock()]}, "['l'][0]._semlock (a SemLock)"),
    "attribute": (lambda: Part(**{f"x{i}": threading.Lock() if i == 9999 else i for i in range(MANY)}), ".x9999 (a lock)"),
}


@miniray.remote
def takes(*args, **kwargs):
    return len(args)


@miniray.remote
class Actor:
    def takes(self, x):
        return x


@pytest.fixture
def session():
    with miniray.init(num_workers=1):
        yield


def refused(call, path):
    with pytest.raises(TypeError) as told:
        call()
    assert f"{path} cannot leave this process" in str(told.value) or f"{path}, which cannot leave this process" in str(told.value), told.value
    assert "lock" in str(told.value).lower()


@pytest.mark.parametrize("name", VALUES)
def test_values(session, name):
    make, path = VALUES[name]
    value = make()
    refused(lambda: miniray.put(value), "Its " + path)
    refused(lambda: takes.remote(value), "Its " + path)
    refused(lambda: takes.remote(1, 2, x=value), "Its " + path)


@pytest.mark.parametrize("name", VALUES)
def test_closures(session, name):
    make, path = VALUES[name]
    value = make()

    @miniray.remote
    def uses():
        return value

    @miniray.remote
    class Uses:
        def method(self):
            return value

    refused(lambda: uses.remote(), " uses value" + path)
    refused(lambda: Uses.remote(), "method uses value" + path)


def test_methods_and_defaults(session):
    value = among(MANY, 17)
    actor = Actor.remote()
    refused(lambda: actor.takes.remote(value), "Its [17].a.b[3] (a lock)")

    @miniray.remote
    def uses(x=value):
        return x

    refused(lambda: uses.remote(), ".__defaults__[0][17].a.b[3] (a lock)")


def test_those_that_refer_to_each_other(session):
    root = Part(children=[], lock=threading.Lock())
    root.children = [Part(parent=root) for _ in range(MANY)]
    with pytest.raises(TypeError, match="lock"):
        miniray.put(root)
