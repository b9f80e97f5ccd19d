"""An exception with all that hangs on it, as bytes and back: its cause, its context, the members of a group, notes.

pickle alone keeps an exception's class, arguments and attributes (notes are one), but neither cause nor context, and it calls
the class with those arguments, which many classes do not take.  What cannot go that way goes without its __init__, and
without those arguments and attributes that cannot be pickled.

A pickle inside a value is bytes to whoever encodes that value, so the references in it go beside it.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Dict, List, Optional, Tuple

from . import _core

Packed = Tuple[bytes, Tuple["_core.ObjectRef", ...]]  # a pickle, and the references in it

_MOST = 32  # exceptions of one chain that travel


def put(exc: BaseException, name: str, value: Any) -> None:
    """Sets what every exception has, in one whose class refuses it (a frozen dataclass) too."""
    BaseException.__setattr__(exc, name, value)


def _members(exc: BaseException) -> "Tuple[BaseException, ...]":
    """Of a group."""
    found = getattr(exc, "exceptions", ())
    return tuple(e for e in found if isinstance(e, BaseException)) if isinstance(found, (tuple, list)) else ()


def _reachable(exc: BaseException) -> "List[BaseException]":
    """The exception, then all that it leads to, each once."""
    found: "Dict[int, BaseException]" = {id(exc): exc}
    todo = [exc]
    while todo and len(found) < _MOST:
        at = todo.pop(0)
        for other in (at.__cause__, at.__context__, *_members(at)):
            if other is not None and id(other) not in found:
                found[id(other)] = other
                todo.append(other)
    return list(found.values())


def _bare(cls: type, args: tuple, state: "Dict[str, Any]") -> BaseException:
    """An instance whose __init__ was not called."""
    try:
        exc = cls.__new__(cls, *args)
    except Exception:  # a __new__ that wants something else
        exc = BaseException.__new__(cls)
    put(exc, "args", args)
    exc.__dict__.update(state)
    return exc


def _pickles(value: Any) -> bool:
    import cloudpickle

    try:
        _core.noting(lambda: pickle.loads(cloudpickle.dumps(value, protocol=5)))
    except Exception:
        return False
    return True


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _what_travels(exc: BaseException) -> tuple:
    """Class, arguments and attributes, without what cannot be pickled; members of a group stay as they are."""
    members = _members(exc)
    args = tuple(a if members and (a is exc.args[-1]) or _pickles(a) else _text(a) for a in exc.args)
    return type(exc), args, {key: value for key, value in exc.__dict__.items() if _pickles(value)}


_made: Any = None  # the class of picklers


def _pickler() -> Any:
    """The class.  Made once: a class is garbage that only the collector takes, with all that its functions refer to."""
    global _made
    if _made is None:
        import cloudpickle

        def override(self: Any, obj: Any) -> Any:
            bare = self.bare.get(id(obj)) if isinstance(obj, BaseException) else None
            return (_bare, bare) if bare is not None else cloudpickle.CloudPickler.reducer_override(self, obj)

        _made = type("Pickler", (cloudpickle.CloudPickler,), {"reducer_override": override})
    return _made


def _dump(found: "List[BaseException]", bare: "Dict[int, tuple]") -> Optional[Packed]:
    """The pickle and its references, if something can be made of it again."""
    numbers = {id(exc): i for i, exc in enumerate(found)}
    links = [(numbers.get(id(exc.__cause__), -1), numbers.get(id(exc.__context__), -1), exc.__suppress_context__) for exc in found]
    def dump() -> bytes:
        file = io.BytesIO()
        pickler = _pickler()(file, protocol=5)
        pickler.bare = bare
        pickler.dump((found, links))
        pickle.loads(file.getvalue())  # many classes pickle but cannot be rebuilt: better found here, where the class is known
        return file.getvalue()

    try:
        return _core.noting(dump)
    except Exception:
        return None


def pack(exc: BaseException) -> Optional[Packed]:
    """The exception and what hangs on it; None: not even its class can leave this process."""
    found = _reachable(exc)
    data = _dump(found, {})
    if data is None:
        odd = [e for e in found if not _members(e) and not _pickles(e)]
        data = _dump(found, {id(e): _what_travels(e) for e in odd})
    if data is None:
        data = _dump(found, {id(e): _what_travels(e) for e in found})
    return data if data is not None else _dump([exc], {id(exc): _what_travels(exc)})


def unpack(packed: Packed) -> BaseException:
    """What pack() packed.  Raises what unpickling raises."""
    found, links = pickle.loads(packed[0])
    for exc, (cause, context, suppressed) in zip(found, links):
        put(exc, "__cause__", found[cause] if cause >= 0 else None)
        put(exc, "__context__", found[context] if context >= 0 else None)
        put(exc, "__suppress_context__", suppressed)
    return found[0]
