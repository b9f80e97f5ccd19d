"""Pickling of what the extension's own encoder does not take: protocol 5 through cloudpickle, buffers out of band."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import threading
import warnings
from typing import Any, List, Optional, Tuple

from . import _core
from ._code import Code, qualified
from ._core import ObjectRef

_warned = False


class NotSerializable(TypeError, pickle.PicklingError):
    """A value that cannot leave its process."""


def load_buffers(data: Any, buffers: List[Any]) -> Any:
    """The object of a pickle and its buffers."""
    return pickle.loads(data, buffers=buffers)


def _view(raw: Any, form: Any, shape: tuple) -> memoryview:
    """What a memoryview comes out as."""
    if not raw.nbytes:  # it can not be cast
        return memoryview(bytes(struct.calcsize(form))).cast(form)[:0]
    return raw.cast(form, shape)


def _reduce_view(view: Any) -> tuple:
    form, shape = view.format, view.shape
    try:
        memoryview(bytes(view.itemsize)).cast(form)
    except (TypeError, ValueError):  # no such items in Python: their bytes
        form, shape = "B", (view.nbytes,)
    flat = view if view.c_contiguous else memoryview(view.tobytes())
    return _view, (pickle.PickleBuffer(flat.toreadonly()), form, shape)


def _plain(numpy: Any, kind: Any) -> bool:
    """Is that the class of arrays, or one below it that leaves pickling to it?"""
    above = numpy.ndarray
    return kind is above or (issubclass(kind, above) and kind.__reduce_ex__ is above.__reduce_ex__
                             and kind.__reduce__ is above.__reduce__ and kind.__setstate__ is above.__setstate__)


def _array(kind: Any, *args: Any) -> Any:
    """An array of a class below numpy's own, made as pickle makes one."""
    import numpy

    return numpy.ndarray.__new__(kind, *args)


def _reduce_array(numpy: Any, array: Any) -> tuple:
    """All bytes out of band, read-only as those of a view. numpy would copy what is not contiguous, what has no buffer format
    (dates, records with odd names) and other classes than its own; those would come out writable."""
    dtype, flags, order = array.dtype, array.flags, "C"
    whole = array.view(numpy.ndarray)
    if not flags.c_contiguous:
        if flags.f_contiguous:
            whole, order = whole.T, "F"
        else:
            whole = whole.copy("C")
    # Pickled dates lose their byte order.
    name = dtype.str if dtype.metadata is None and (dtype.isbuiltin == 1 or dtype.kind in "mMSU") else dtype
    raw = pickle.PickleBuffer(memoryview(whole.reshape(-1).view(numpy.uint8)).toreadonly())
    args = array.shape, name, raw, 0, None, order
    return (numpy.ndarray, args) if type(array) is numpy.ndarray else (_array, (type(array), *args))


_base: Any = None  # made at the first use: cloudpickle takes its time to import
_Pickler: Any = None  # several threads may make one each: each is as good


def _reducer_override(self: Any, obj: Any) -> Any:
    """All that shows memory as what only reads: so it will come out, and then pickles to the same bytes (see `put`)."""
    kind = type(obj)
    if kind is ObjectRef:  # there may be thousands
        return obj.__reduce__()
    if kind is memoryview:
        return _reduce_view(obj)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(obj, numpy.ndarray) and _plain(numpy, kind) and obj.dtype.itemsize and not obj.dtype.hasobject:
        return _reduce_array(numpy, obj)
    if kind.__module__ == "pyarrow.lib" and isinstance(obj, sys.modules["pyarrow.lib"].Buffer):
        return sys.modules["pyarrow.lib"].py_buffer, (pickle.PickleBuffer(memoryview(obj).toreadonly()),)
    return _base.reducer_override(self, obj)


def _named(obj: Any) -> str:
    """What it is, for people."""
    if isinstance(obj, Code):
        target = obj.target
        return f"the {'actor class' if isinstance(target, type) else 'function'} {qualified(target)}"
    return getattr(obj, "__qualname__", None) or f"an object of {type(obj).__name__}"


def _because(path: str) -> str:
    """The beginning of a sentence about the part of it that a path leads to."""
    path = path.removeprefix("._target")
    if " uses " in path:
        return f"It{path}, which" if path.startswith(" ") else f"Its {path.lstrip('.')}, which"
    return f"Its {path.strip()}" if path else "It"


def dumps(obj: Any) -> Tuple[bytes, List[Any]]:
    """The pickle of `obj` and the raw buffers that it refers to.  TypeError names what cannot be pickled."""
    global _Pickler, _base
    if _Pickler is None:
        import cloudpickle

        _base = cloudpickle.CloudPickler
        _Pickler = type("_Pickler", (cloudpickle.CloudPickler,), {"reducer_override": _reducer_override})
    buffers: List[Any] = []

    def out_of_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous: stays inside
            return True
        buffers.append(raw)
        return False

    file = io.BytesIO()
    try:
        _Pickler(file, protocol=5, buffer_callback=out_of_band).dump(obj)
    except RecursionError as why:
        raise RecursionError(f"Could not serialize an object of {type(obj).__name__}: it nests too deeply") from why
    except MemoryError:
        raise
    except Exception as why:  # the code of classes raises what it likes
        from . import _blame
        from .exceptions import RayError

        if isinstance(why, RayError):  # of a reference in it
            raise
        raise NotSerializable(
            f"Could not serialize {_named(obj)}: {str(why).rstrip('.')}. {_because(_blame.path(obj))} cannot leave this process; "
            "make that thing inside the task, or keep it in an actor.") from why
    data = file.getvalue()
    limit = code_limit.current()
    size = len(data) + sum(b.nbytes for b in buffers) if limit is not None else 0
    if limit is not None:
        limit.holds = bool(buffers or _core.encoding())
    if limit is not None and size > limit.most:
        raise ValueError(
            f"The remote function {limit.name} is too large ({size >> 20} MiB > {limit.most >> 20} MiB): it, or its "
            "closure, holds a large object. Pass that as an argument, by put().")
    return data, buffers


def escaped(hex_id: str) -> None:
    """Called when a reference is pickled outside of a call: nobody can count that copy."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"ObjectRef({hex_id}) was pickled by hand: its object stays until the session ends. Pass references as "
            "arguments, return or put them instead; `miniray memory` lists such objects.", RuntimeWarning, stacklevel=3)


class code_limit:
    """While it is entered, a pickle of more than `most` bytes is refused as too large a function or class."""

    _thread = threading.local()  # .limit: of what this thread pickles

    def __init__(self, name: str, most: int):
        self.name = name
        self.most = most
        self.holds = False  # it has references or buffers in it

    @classmethod
    def current(cls) -> "Optional[code_limit]":
        return getattr(cls._thread, "limit", None)

    def __enter__(self) -> "code_limit":
        self._before = self.current()
        self._thread.limit = self
        return self

    def __exit__(self, *exc: Any) -> None:
        self._thread.limit = self._before
