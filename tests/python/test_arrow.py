"""pyarrow: its tables, batches and arrays come out of get as views of the store.  Skipped where pyarrow is not installed."""

import gc

import pytest

import miniray
from miniray import _session

pa = pytest.importorskip("pyarrow")
ROWS = 1 << 17


@pytest.fixture(params=["store-shm", "store-mem"])
def session(request):
    miniray.init(num_workers=2, store=request.param, object_store_memory=256 << 20)
    yield
    miniray.shutdown()


def table():
    return pa.table({
        "number": pa.array(range(ROWS), pa.int64()),
        "text": pa.array([f"row {i}" for i in range(ROWS)]),
        "gaps": pa.array([None if i % 7 == 0 else i / 3 for i in range(ROWS)]),
        "kind": pa.array([["a", "b", "c"][i % 3] for i in range(ROWS)]).dictionary_encode(),
        "lists": pa.array([[i, i + 1] for i in range(ROWS)]),
    })


def buffers(value):
    columns = [c for column in value.columns for c in getattr(column, "chunks", [column])]
    return [b for column in columns for b in column.buffers() if b is not None]


def used():
    miniray._core.flush()
    return _session.state("stats")["store_used"]


@miniray.remote
def describe(value):
    return value.num_rows, all(not b.is_mutable for b in buffers(value)), pa.total_allocated_bytes()


@miniray.remote
def echo(value):
    return value


@pytest.mark.parametrize("make", [lambda: table(), lambda: table().to_batches()[0]], ids=["Table", "RecordBatch"])
def test_columns_are_views_of_the_store(session, make):
    value = make()
    ref = miniray.put(value)
    before = pa.total_allocated_bytes()
    got = miniray.get(ref)
    assert got.equals(value) and got.schema == value.schema
    assert pa.total_allocated_bytes() == before  # nothing was copied into arrow's own memory
    assert not any(b.is_mutable for b in buffers(got))
    again = miniray.get(ref)
    assert {b.address for b in buffers(again)} == {b.address for b in buffers(got)}
    rows, constant, allocated = miniray.get(describe.remote(ref))
    assert rows == value.num_rows and constant and allocated < 1 << 20
    assert miniray.get(echo.remote(ref)).equals(value)


def test_a_column_keeps_the_bytes_that_it_shows(session):
    start = used()
    ref = miniray.put(table())
    column = miniray.get(ref).column("number")
    del ref
    gc.collect()
    fill = [miniray.put(b"x" * (1 << 20)) for _ in range(20)]
    assert column[ROWS - 1].as_py() == ROWS - 1 and used() > start + (20 << 20)
    del column, fill
    gc.collect()
    assert used() == start


def test_what_is_there_is_not_put_again(session):
    for value in ([pa.py_buffer(bytes(1 << 20)), 1], table(), [table().to_batches()[0]]):
        ref = miniray.put(value)
        assert miniray.put(miniray.get(ref)) == ref
    assert miniray.put(miniray.get(ref)[::-1] + [1]) != ref


def test_slices_and_empty_ones(session):
    value = table()
    for part in (value.slice(1000, 10), value.slice(5, 0), pa.table({"x": pa.array([], pa.int8())})):
        got = miniray.get(miniray.put(part))
        assert got.equals(part) and got.num_rows == part.num_rows
    buffer = pa.py_buffer(b"y" * 100_000)
    assert miniray.get(miniray.put(buffer)).equals(buffer)
    array = pa.array(range(50_000))
    assert miniray.get(miniray.put({"in": [array]}))["in"][0].equals(array)
