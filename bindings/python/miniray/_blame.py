"""Finds what in a value cannot be pickled.  Used only after pickling has failed."""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import types
from typing import Any, Iterator, List, Optional, Tuple

_WIDE = 200  # so many children of one thing are listed
_MANY = 1_000_000  # among so many children of one thing is searched
_DEEP = 30  # and so many levels down


def pickles(obj: Any) -> Optional[BaseException]:
    """None if it can be pickled, else why not."""
    import cloudpickle

    try:
        cloudpickle.dumps(obj, protocol=5, buffer_callback=lambda buffer: False)  # large ones are not copied
    except Exception as why:
        return why
    return None


def children(obj: Any) -> Iterator[Tuple[str, Any]]:
    """What it consists of: (how that is reached from it, the thing)."""
    return itertools.islice(_children(obj), _WIDE)


def _children(obj: Any) -> Iterator[Tuple[str, Any]]:
    if isinstance(obj, dict):
        for key, value in obj.items():
            yield f"[{_short(key)}]", value
        for key in obj:
            yield f" key {_short(key)}", key
    elif isinstance(obj, (list, tuple)):
        for i, value in enumerate(obj):
            yield f"[{i}]", value
    elif isinstance(obj, (set, frozenset)):
        for value in obj:
            yield f" element {_short(value)}", value
    elif isinstance(obj, functools.partial):
        yield ".func", obj.func
        yield ".args", obj.args
        yield ".keywords", obj.keywords
    elif isinstance(obj, types.MethodType):
        yield ".__self__", obj.__self__
        yield ".__func__", obj.__func__
    elif isinstance(obj, types.FunctionType):
        try:
            used = inspect.getclosurevars(obj)
        except ValueError:  # an unset cell
            return
        for name, value in {**used.nonlocals, **used.globals}.items():
            yield f" uses {name}", value
        yield ".__defaults__", obj.__defaults__
    elif (numpy := sys.modules.get("numpy")) is not None and isinstance(obj, numpy.ndarray):
        if obj.dtype == object:
            for at, value in numpy.ndenumerate(obj):
                yield f"[{', '.join(map(str, at))}]", value
    elif not isinstance(obj, type):
        if isinstance(obj, BaseException):
            yield ".args", obj.args
        for name, value in getattr(obj, "__dict__", {}).items():
            yield f".{name}", value
        for cls in type(obj).__mro__:
            slots = vars(cls).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(obj, name):
                    yield f".{name}", getattr(obj, name)
    elif isinstance(obj, type):
        for name, value in list(vars(obj).items()):
            if isinstance(value, types.FunctionType) or not (name.startswith("__") and name.endswith("__")):
                yield f".{name}", value


def reduced(obj: Any) -> Iterator[Tuple[str, Any]]:
    """What pickle takes in its stead, by what its class says; for where nothing of what it consists of is to blame."""
    try:
        parts = obj.__reduce_ex__(5)
    except Exception:
        return
    if isinstance(parts, tuple):
        for i, part in enumerate(parts[:3]):
            yield f".__reduce_ex__(5)[{i}]", part
        for i, value in enumerate(parts[3] or () if len(parts) > 3 else ()):
            yield f"[{i}]", value
        for key, value in parts[4] or () if len(parts) > 4 else ():
            yield f"[{_short(key)}]", value


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."


def _first(parts: List[Tuple[str, Any]]) -> Optional[Tuple[str, Any]]:
    """The first of them that cannot be pickled: by halves, since one pickle for each of very many takes long."""
    if len(parts) > 1 and pickles([child for _, child in parts]) is None:
        return None
    while len(parts) > 1:
        half = parts[:len(parts) // 2]
        parts = half if pickles([child for _, child in half]) is not None else parts[len(half):]
    return parts[0] if parts and pickles(parts[0][1]) is not None else None


def path(obj: Any) -> str:
    """How to get from `obj` to the innermost thing that cannot be pickled: ".lock", "[2].conn"; "" for itself."""
    out, seen = "", {id(obj): obj}  # what is made on the way must not give its number to another
    for _ in range(_DEEP):
        for parts in (_children, reduced):
            found = _first([(part, child) for part, child in itertools.islice(parts(obj), _MANY) if id(child) not in seen])
            if found is not None:
                break
        else:
            return f"{out} (a {type(obj).__name__})" if out else ""
        out, obj = out + found[0], found[1]
        seen[id(obj)] = obj
    return out
