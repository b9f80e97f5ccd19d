"""Values whose bytes were damaged: an exception or another value, never a wild read and never a hang."""

import os
import struct
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miniray import _core

np = pytest.importorskip("numpy")
FAST, PICKLE, ARRAY, ERROR = (16 + i for i in range(4))


def array(dtype, shape, data, fortran=0):
    head = 16 + 8 + 16 + 8 * len(shape)
    offset = -(-head // 64) * 64
    fixed = struct.pack("<16sIIQQ", dtype.encode(), len(shape), fortran, len(data), offset)
    return (fixed + struct.pack(f"<{len(shape)}q", *shape)).ljust(offset, b"\0") + data


def pickled(body, parts):
    at, table = 16 + 16 * len(parts) + len(body), b""
    for part in parts:
        table += struct.pack("<QQ", at, len(part))
        at += len(part)
    return struct.pack("<IIQ", len(parts), 0, len(body)) + table + body + b"".join(parts)


def embedded(format, value):
    """A value of any format inside a plain one."""
    return b"O" + b"\0" * 7 + struct.pack("<QQ", format, len(value)) + value


NESTED = b"(" + struct.pack("<I", 3) + b"N" + b"s" + struct.pack("<I", 2) + b"hi" + b"[" + struct.pack("<I", 1) + b"i" + struct.pack("<q", -7)
SEEDS = [
    (NESTED, (None, "hi", [-7])),
    (b"{" + struct.pack("<I", 1) + b"b" + struct.pack("<I", 1) + b"k" + b"d" + struct.pack("<d", 0.5), {b"k": 0.5}),
    (embedded(ARRAY, array("<f8", (2, 3), struct.pack("<6d", *range(6)))), [[0, 1, 2], [3, 4, 5]]),
    (embedded(ARRAY, array("|u1", (5,), b"abcde", 1)), [97, 98, 99, 100, 101]),
    (embedded(PICKLE, pickled(b"\x80\x05K\x07.", [])), 7),
    (embedded(PICKLE, pickled(b"\x80\x05\x97\x97\x86.", [b"first", b"second"])), (b"first", b"second")),
]


def test_the_seeds_are_whole():
    for seed, value in SEEDS:
        got = _core.decode_plain(FAST, seed)
        if isinstance(got, np.ndarray):
            got = got.tolist()
        elif isinstance(got, tuple) and not isinstance(value[0], type(None)):
            got = tuple(bytes(part) for part in got)
        assert got == value


@pytest.mark.parametrize("dtype", ["O", "|O8", "", "S", "V", "nonsense", "<f8<f8<f8<f8<f8", "i4,O"])
def test_types_that_no_array_has(dtype):
    """Pointers out of a value would be a wild read."""
    try:
        got = _core.decode_plain(FAST, embedded(ARRAY, array(dtype[:16], (2,), b"A" * 16)))
    except Exception as why:  # noqa: BLE001
        assert str(why)
    else:
        assert not got.dtype.hasobject, got.dtype


@settings(max_examples=int(os.environ.get("MRTEST_EXAMPLES", 300)), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_headers(data):
    seed, _ = data.draw(st.sampled_from(SEEDS))
    value = bytearray(seed)
    # What is a pickle's own is left alone: it is a program, and whoever can speak to a session can run code.
    end = len(seed) - (17 if b"first" in seed else 6 if b"K\x07" in seed else 0)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, end - 1))
        how = data.draw(st.sampled_from(["bit", "byte", "word", "cut"]))
        if how == "bit":
            value[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "byte":
            value[at] = data.draw(st.integers(0, 255))
        elif how == "word":
            word = data.draw(st.sampled_from([0, 1, 0xFF, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 64]))
            value[at:at + 8] = struct.pack("<Q", word)
        else:
            del value[at:]
            break
        end = min(end, len(value))
        if not value:
            break
    try:
        got = _core.decode_plain(FAST, bytes(value))
    except Exception:  # noqa: BLE001  any, as long as it is one
        return
    repr(got)
    if isinstance(got, np.ndarray):
        assert got.dtype != object
        got.tobytes()
    sys.getsizeof(got)
