"""What goes into the store comes out: types, identity, references inside, arrays without a copy."""

import copy
import datetime
import decimal
import gc
import sys
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import miniray


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Point and other.x == self.x


PLAIN = [
    None, True, False, 0, -1, 2**63 - 1, -2**63, 2**63, 10**40, 1.5, float("inf"), "", "text", "h\u00e9llo \U0001f600", "\ud800", b"",
    b"hello", b"x" * 100_000, "y" * 200_000, (), (1, "a", None), [], [1, [2, [3]]], {}, {"a": {"b": [1, 2]}}, {1: 2, (1, 2): 3},
    list(range(5000)), set([1, 2]), frozenset([1, 2]), 1 + 2j, range(5), bytearray(b"abc"), datetime.date(2020, 1, 2),
    decimal.Decimal("1.10"), Point(3), [Point(1), Point(2)], int, len, ...,
]


@pytest.fixture(scope="module")
def session():
    miniray.init(num_workers=1)
    yield miniray
    miniray.shutdown()


@pytest.fixture(autouse=True)
def nothing_left():
    """One session for the module; the check of conftest runs in all others."""
    yield


@pytest.mark.parametrize("value", PLAIN, ids=lambda v: repr(v)[:30])
def test_put_and_get(session, value):
    got = session.get(session.put(value))
    assert got == value and type(got) is type(value)


def test_the_same_list_stays_the_same_list(session):
    inner = [1]
    first, second = session.get(session.put([inner, inner]))
    assert first is second
    shared = ([],)
    a, b = session.get(session.put([shared, shared]))
    assert a[0] is b[0]


def test_a_cycle(session):
    loop = [1]
    loop.append(loop)
    got = session.get(session.put(loop))
    assert got[0] == 1 and got[1] is got


json_like = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
                         lambda c: st.lists(c) | st.tuples(c, c) | st.dictionaries(st.text() | st.integers(), c), max_leaves=20)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_like)
def test_any_plain_value(session, value):
    got = session.get(session.put(value))
    assert got == value and repr(got) == repr(value)


ARRAYS = [
    np.arange(10), np.zeros((3, 4), "f4", order="F"), np.ones((300, 200)), np.array(5), np.zeros((0, 3)), np.arange(10)[::2],
    np.arange(12).reshape(3, 4).T, np.array([True, False]), np.arange(4, dtype="f2"), np.arange(4) * 1j, np.arange(4, dtype=">i4"),
    np.array(["a", "bc"]), np.array([1, 2], "M8[s]"), np.array([1, 2], "m8[ms]"), np.zeros(3, [("a", "i4"), ("b", "f8")]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}-{a.shape}")
def test_arrays_are_equal_and_read_only(session, array):
    got = session.get(session.put(array))
    assert got.dtype == array.dtype and got.shape == array.shape and (got == array).all()
    if array.size:
        with pytest.raises(ValueError):
            got[...] = array


def test_object_arrays_and_views_in_containers(session):
    array = np.array([1, None, "x"], object)
    assert (session.get(session.put(array)) == array).all()
    got = session.get(session.put({"a": np.arange(1000), "b": [np.arange(3)]}))
    assert got["a"].sum() == 499500 and not got["a"].flags.writeable and not got["b"][0].flags.writeable


def test_a_large_array_is_a_view_of_the_store(session):
    ref = session.put(np.arange(1_000_000))
    first, second = session.get(ref), session.get(ref)
    assert first.__array_interface__["data"][0] == second.__array_interface__["data"][0]
    assert first.__array_interface__["data"][0] % 64 == 0


def test_a_view_keeps_its_object(session):
    array = session.get(session.put(np.arange(1_000_000)))
    gc.collect()
    others = [session.put(np.zeros(1_000_000)) for _ in range(4)]
    assert array[0] == 0 and array[-1] == 999_999 and array.sum() == 499_999_500_000
    del others


def test_references_in_containers_are_kept(session):
    inner = session.put("inner")
    outer = session.put({"ref": [inner]})
    del inner
    gc.collect()
    assert session.get(session.get(outer)["ref"][0]) == "inner"


def test_reference_identity(session):
    ref = session.put(1)
    again = session.get(session.put([ref]))[0]
    assert ref == again and hash(ref) == hash(again) and len({ref, again}) == 1
    assert ref != session.put(1) and ref != 1
    assert len(ref.binary()) == 28 and ref.binary().hex() == ref.hex() and ref.hex() in repr(ref)


def test_a_reference_from_bytes_is_weak(session):
    ref = session.put("here")
    weak = session.ObjectRef(ref.binary())
    assert session.get(weak) == "here"
    del ref
    gc.collect()
    with pytest.raises(session.exceptions.ObjectLostError):
        for _ in range(2000):  # drops may be late, and a get in between would hold it again
            session.put(0)
        session.get(weak, timeout=5)
    with pytest.raises(ValueError, match="28 bytes"):
        session.ObjectRef(b"short")


def test_a_reference_pickled_by_hand_stays(session):
    import copy
    import pickle

    ref = session.put("kept")
    assert copy.copy(ref) is ref and copy.deepcopy([ref])[0] is ref
    miniray._pickle._warned = False
    with pytest.warns(RuntimeWarning, match="pickled by hand"):
        data = pickle.dumps(ref)
    del ref
    gc.collect()
    assert session.get(pickle.loads(data)) == "kept"


def test_contains_and_free(session):
    ref = session.put(b"hello")
    assert session.get(ref) == b"hello" and session.contains(ref)
    session.free([ref])
    assert not session.contains(ref)
    with pytest.raises(session.exceptions.ObjectFreedError):
        session.get(ref, timeout=5)


def test_an_argument_that_was_freed_says_so(session, capfd):
    @session.remote
    def takes(x):
        return x

    @session.remote
    def makes():
        return np.zeros(100_000)

    for ref in (session.put(1), session.put(np.zeros(100_000)), makes.remote()):
        session.get(ref)
        session.free(ref)
        with pytest.raises(session.exceptions.ObjectFreedError, match="object [0-9a-f]+ was freed before it could be read by .*takes"):
            session.get(takes.remote(ref), timeout=5)
    assert "out of memory" not in capfd.readouterr().err


def test_a_random_reference_names_nothing(session):
    @session.remote
    def takes(x):
        return x

    ref = session.ObjectRef.from_random()
    assert not ref.is_nil() and len(ref.binary()) == 28 and ref != session.ObjectRef.from_random()
    for use in (session.get, takes.remote, lambda r: session.wait([r])):
        with pytest.raises(session.exceptions.StaleReferenceError):
            use(ref)
    nil = session.ObjectRef.nil()
    assert all(got == value for value in ([nil], {nil}) for got in through(session, value)), "no reference is a value"


def test_what_cannot_be_put(session):
    import threading

    with pytest.raises(TypeError, match="Could not serialize"):
        session.put(threading.Lock())
    with pytest.raises(TypeError, match="not allowed"):
        session.put(session.put(1))
    with pytest.raises(session.exceptions.ObjectStoreFullError):
        session.put(_huge())


def _huge():
    """More bytes than any store has; the pages are never touched."""
    import mmap

    return np.frombuffer(mmap.mmap(-1, 1 << 42, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000), "u1")


@pytest.mark.parametrize("bad", [1, "x", None, (1,), {1}])
def test_get_of_something_else(session, bad):
    with pytest.raises(ValueError, match="Invalid type of object refs"):
        session.get(bad)
    with pytest.raises(TypeError, match="not an ray.ObjectRef"):
        session.get([bad])


def test_get_of_nothing(session):
    assert session.get([]) == []


@pytest.mark.parametrize("timeout", [-1, -0.5, float("nan")])
def test_bad_timeouts(session, timeout):
    if timeout == -1:
        assert session.get(session.put(1), timeout=timeout) == 1
    else:
        with pytest.raises(ValueError, match="timeout"):
            session.get(session.put(1), timeout=timeout)
    with pytest.raises(TypeError):
        session.get(session.put(1), timeout="soon")


def test_ten_thousand_references_at_once(session):
    refs = [session.put(i) for i in range(10_000)]
    assert session.get(refs) == list(range(10_000))
    assert session.wait(refs, num_returns=10_000, timeout=20) == (refs, [])
    held = session.get(session.put(refs))
    assert held == refs
    assert session.get(session.put(tuple(refs) + ("a string", {"a": refs[:600]})))[-1] == {"a": refs[:600]}

    @session.remote
    def count(*values):
        return len(values), sum(values)

    @session.remote
    def total(held):
        return sum(session.get(held))

    @session.remote(num_returns=3000)
    def many():
        return range(3000)

    want = sum(range(10_000))
    assert session.get(count.remote(*refs), timeout=60) == (10_000, want)
    assert session.get(total.remote(refs), timeout=60) == want
    assert session.get(many.remote(), timeout=60) == list(range(3000))
    del refs, held


# ---- odd values: each has a defined outcome, through put and get, as an argument, and as a result ----------------------

@miniray.remote
def echo(value):
    return value


def through(session, value):
    return [session.get(session.put(value)), session.get(echo.remote(value)), session.get(echo.remote(session.put(value)))]


def cannot_be_rebuilt(text):
    raise LookupError(text)


class OneWay:
    """Pickles, but does not unpickle."""

    def __reduce__(self):
        return cannot_be_rebuilt, ("no way back",)


@pytest.mark.parametrize("value", [b"", "", (), np.zeros(0), np.zeros((0, 5), "i2"), bytearray(), memoryview(b"").tobytes()], ids=repr)
def test_nothing_at_all(session, value):
    for got in through(session, value):
        assert type(got) is type(value) and len(got) == 0
        if isinstance(value, np.ndarray):
            assert got.shape == value.shape and got.dtype == value.dtype


def test_arrays_of_no_dimension(session):
    for got in through(session, np.array(2.5)):
        assert got.shape == () and got == 2.5 and not got.flags.writeable
    for got in through(session, np.float32(2.5)):
        assert type(got) is np.float32 and got == 2.5


def test_a_huge_string(session):
    for text in ("x" * 50_000_000, "\u00e9\U0001f600" * 2_000_000):
        assert all(got == text for got in through(session, text))


def test_what_pickles_but_does_not_unpickle(session):
    ref = session.put([1, OneWay()])
    for what in (ref, [session.put(1), ref]):
        with pytest.raises(LookupError, match="no way back") as told:
            session.get(what)
        assert getattr(told.value, "__notes__", None) == [f"(while miniray unpickled the value of {ref!r})"] or sys.version_info < (3, 11)
    with pytest.raises(session.exceptions.RayTaskError, match="no way back") as told:
        session.get(session.remote(lambda x: x).remote(ref))
    assert isinstance(told.value, LookupError)
    with pytest.raises(LookupError, match="no way back"):
        session.get(session.remote(lambda: OneWay()).remote())
    assert session.get(echo.remote(1)) == 1


odd_arrays = npst.arrays(
    dtype=st.one_of(npst.scalar_dtypes(), npst.array_dtypes(npst.floating_dtypes() | npst.integer_dtypes(), max_size=3)), shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(array=odd_arrays, data=st.data())
def test_any_array_and_any_view_of_it(session, array, data):
    view = array
    if array.ndim:
        view = array[tuple(slice(None, None, data.draw(st.sampled_from([1, 2, -1]))) for _ in range(array.ndim))]
        view = view.transpose(data.draw(st.permutations(range(view.ndim))))
    for got in (session.get(session.put(view)), session.get(session.put({"in": [view]}))["in"][0]):
        assert got.dtype == view.dtype and got.shape == view.shape and got.tobytes() == view.tobytes()
        assert not got.size or not got.flags.writeable


nested = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.binary(max_size=20000) | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
    | st.dates() | st.decimals(allow_nan=False) | st.uuids() | st.fractions(),
    lambda c: st.lists(c, max_size=4) | st.sets(st.integers() | st.text(max_size=5), max_size=4) | st.dictionaries(st.text(max_size=5), c, max_size=4)
    | st.tuples(c, c), max_leaves=12)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=nested)
def test_any_value_any_way(session, value):
    for got in through(session, value):
        assert got == value and type(got) is type(value)


def test_a_view_of_the_store_is_put_without_a_copy(session):
    from miniray import _session

    def used():
        miniray._core.flush()
        return _session.state("stats")["store_used"]

    @miniray.remote
    def again(view):
        return [miniray.put(view)]

    ref = miniray.put(np.arange(1 << 18))
    one = used()
    view = miniray.get(ref)
    refs = [miniray.put(view), miniray.get(again.remote(ref))[0]]
    assert used() == one and refs[0] == ref == refs[1]
    for other in (view[1:], view.reshape(2, -1), view.view("f8"), view[::2], view.copy()):
        copy = miniray.put(other)
        assert copy != ref and used() > one and (miniray.get(copy) == other).all()
        del copy
    del ref
    assert (miniray.get(refs[0]) == view).all()
    miniray.free(refs)
    assert (miniray.get(miniray.put(view)) == view).all(), "what was freed is not shared any more"


def test_what_consists_of_views_of_one_object_is_put_without_a_copy(session):
    pandas = pytest.importorskip("pandas")
    big = np.arange(1 << 15)
    frame = pandas.DataFrame({"a": big, "b": big * 0.5, "c": big[::-1]}, index=big * 2)
    for value in (memoryview(bytearray(100_000)), {"a": big, "few": big[:3]}, [big, memoryview(b"x" * 20_000)], frame,
                  np.asfortranarray(big.reshape(8, -1)), big.astype("M8[s]")):
        ref = miniray.put(value)
        got = miniray.get(ref)
        assert miniray.put(got) == ref
        assert miniray.get(echo.remote(got)) is not None
    pair = miniray.get(miniray.put([big, big + 1]))
    for other in (pair[::-1], pair[:1], [pair[0], pair[0]], [pair[0], pair[1].copy()], (pair[0], pair[1])):
        ref = miniray.put(other)
        got = miniray.get(ref)
        assert len(got) == len(other) and type(got) is type(other) and all((a == b).all() for a, b in zip(got, other))


def place(value):
    return np.frombuffer(value, np.uint8).__array_interface__["data"][0] if value.nbytes else 0


def look(value):
    """Of arrays and views: are they what they should be in every process?"""
    parts = [getattr(p, "view", p) if isinstance(p, Exporter) else p for p in (value["in"] if isinstance(value, dict) else [value])]
    return [place(memoryview(p).cast("B")) % 64 == 0 and memoryview(p).readonly for p in parts]


@miniray.remote(num_returns="streaming")
def items(value):
    for _ in range(3):
        yield value


class Looker:
    look = staticmethod(look)

    def give(self, value):
        return value


def test_every_size_is_aligned_and_read_only_everywhere(session):
    """Small ones too, which travel in records, and any exporter comes out as a view."""
    task, actor = miniray.remote(look), miniray.remote(Looker).remote()
    for size in (0, 1, 3, 100, 1001, 4000, 4097, 5000, 8192, 8200, 100_000, 1 << 20):
        array = np.zeros(size, np.uint8)
        for value in (array, memoryview(array), {"in": [array, memoryview(array), Exporter(array)]}):
            ref = miniray.put(value)
            got = miniray.get([ref, echo.remote(value), echo.remote(ref), actor.give.remote(value), *items.remote(value)])
            assert all(all(look(v)) for v in got), (size, [look(v) for v in got])
            assert all(all(v) for v in miniray.get([task.remote(value), task.remote(ref), actor.look.remote(value)]))
    big = Exporter(b"y" * (1 << 20))
    ref = miniray.put([big])
    assert place(miniray.get(ref)[0].view) == place(miniray.get(ref)[0].view), "several gets share one place"


def views():
    numbers = np.arange(24, dtype="i4").reshape(4, 6)
    long = np.arange(30_000).reshape(100, 300)
    for array in (numbers, long, numbers.astype("f8"), numbers.astype(bool), numbers[:, 0], np.array(2.5), np.zeros(0), np.zeros((3, 0), "i2")):
        yield memoryview(array), True
    for array in (numbers.T, numbers[::2], numbers[::-1, ::3], long[:, ::2], np.asfortranarray(long)):
        yield memoryview(array), True
    for array in (numbers.astype("f2"), numbers.astype(">i4"), np.zeros(3, [("a", "i4"), ("b", "f8")]), np.zeros(0, "f2")):
        yield memoryview(array), False  # Python has no such items
    yield from ((memoryview(b), True) for b in (b"", b"abc", bytearray(b"xyz"), b"z" * 100_000))
    yield memoryview(b"abc").cast("c"), True


def test_memoryviews_come_out_as_memoryviews(session):
    for view, castable in views():
        for got in through(session, view) + [v["in"][0] for v in through(session, {"in": [view]})]:
            assert type(got) is memoryview and got.readonly and got.tobytes() == view.tobytes()
            assert (got.format, got.shape) == ((view.format, view.shape) if castable else ("B", (view.nbytes,))) or not view.nbytes
            assert got.nbytes or got.format == view.format if castable else got.format == "B"
    gone = memoryview(b"abc")
    gone.release()
    with pytest.raises(TypeError, match="released memoryview"):
        session.put(gone)


def test_what_lies_below_a_view_travels_too(session):
    import pickle

    for size in (0, 5, 5000, 100_000):
        base = session.get(session.put(np.ones(size, np.uint8))).base
        for value in (pickle.PickleBuffer(bytearray(b"\1" * size)), base):
            for got in through(session, value) + [v[0] for v in through(session, [value])]:
                assert type(got) is memoryview and got.readonly and got == b"\1" * size
        assert pickle.loads(pickle.dumps(base, 5)) == copy.copy(base) == b"\1" * size


class Tagged(np.ndarray):
    def __array_finalize__(self, other):
        self.tag = getattr(other, "tag", "none")


def test_classes_of_arrays_are_views_too(session, tmp_path):
    np.arange(5000).tofile(tmp_path / "data")
    records = np.zeros(2000, [("a", "i4"), ("b", "f8")])
    arrays = [np.memmap(tmp_path / "data", "i8", "r"), np.rec.array(records), np.arange(4000).view(Tagged), np.asfortranarray(records.reshape(2, -1))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy does not like matrices any more
        arrays.append(np.matrix(np.arange(9.0).reshape(3, 3)))
    for array in arrays:
        for got in through(session, array) + [v[0] for v in through(session, [array])]:
            assert type(got) is type(array) and got.dtype == array.dtype and got.tobytes() == array.tobytes() and not got.flags.writeable
        ref = session.put([array])
        (first,), (second,) = session.get(ref), session.get(ref)
        assert (first.ctypes.data == second.ctypes.data) == (array.nbytes > 8192)


class Exporter:
    """As pyarrow.Buffer: its bytes travel out of band."""

    def __init__(self, data):
        self.view = memoryview(data)

    def __reduce_ex__(self, protocol):
        import pickle

        return Exporter, (pickle.PickleBuffer(self.view),)


def test_a_large_argument_is_pickled_once(session):
    class Counted:
        times = 0

        def __reduce__(self):
            Counted.times += 1
            return bytes, (bytes(100_000),)

    @session.remote
    def size(value):
        return len(value)

    assert session.get(size.remote(Counted())) == 100_000
    assert Counted.times == 1
