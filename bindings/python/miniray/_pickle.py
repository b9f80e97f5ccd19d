"""Pickling of what the extension's own encoder does not take: protocol 5 through cloudpickle, buffers out of band."""

from __future__ import annotations

import io
import pickle
import sys
import threading
import warnings
from typing import Any, List, Optional, Tuple

from ._code import Code, qualified

_warned = False


class NotSerializable(TypeError, pickle.PicklingError):
    """A value that cannot leave its process."""


def load_buffers(data: Any, buffers: List[Any]) -> Any:
    """The object of a pickle and its buffers."""
    return pickle.loads(data, buffers=buffers)


def _from_bytes(raw: Any, dtype: Any, shape: tuple) -> Any:
    return raw.view(dtype).reshape(shape)


def _exports(array: Any) -> bool:
    """Dates, and records with odd names, have no buffer format."""
    if array.dtype.kind not in "mMV":
        return True
    try:
        memoryview(array)
    except (ValueError, BufferError, TypeError):
        return False
    return True


_base: Any = None  # made at the first use: cloudpickle takes its time to import
_Pickler: Any = None  # several threads may make one each: each is as good


def _reducer_override(self: Any, obj: Any) -> Any:
    """Takes those arrays out of band that numpy would copy into the pickle, from where they would come out writable: what
    has no buffer format (numpy loses the byte order of dates too), and what is not contiguous."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(obj) is numpy.ndarray and obj.dtype.itemsize and not obj.dtype.hasobject:
        flags = obj.flags
        if not _exports(obj):
            whole = obj if flags.c_contiguous else obj.copy("C")
            return _from_bytes, (whole.reshape(-1).view("u1"), obj.dtype.str if obj.dtype.kind in "mM" else obj.dtype, obj.shape)
        if not (flags.c_contiguous or flags.f_contiguous):
            return obj.copy("C").__reduce_ex__(5)
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
    except (TypeError, pickle.PicklingError, AttributeError, NotImplementedError, ValueError) as why:
        from . import _blame

        raise NotSerializable(
            f"Could not serialize {_named(obj)}: {str(why).rstrip('.')}. {_because(_blame.path(obj))} cannot leave this process; "
            "make that thing inside the task, or keep it in an actor.") from why
    data = file.getvalue()
    limit = code_limit.current()
    size = len(data) + sum(b.nbytes for b in buffers) if limit is not None else 0
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

    @classmethod
    def current(cls) -> "Optional[code_limit]":
        return getattr(cls._thread, "limit", None)

    def __enter__(self) -> None:
        self._before = self.current()
        self._thread.limit = self

    def __exit__(self, *exc: Any) -> None:
        self._thread.limit = self._before
