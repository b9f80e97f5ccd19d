"""Values that outlive their session, under names.

Works with a store that keeps its objects: `[store] plugin = store-file` with `[store.store-file] persist = true`, and the same
`dir` and `capacity` next time.  Only in the driver."""

from typing import Any

from .. import _core
from .._core import ObjectRef

__all__ = ["delete", "load", "save"]


def _name(name: str) -> bytes:
    if not isinstance(name, str) or "\0" in name:
        raise TypeError(f"a name is a text without NUL, not {name!r}")
    return name.encode()


def save(name: str, value: Any) -> None:
    """Keeps a copy of a value, or of what an ObjectRef refers to, under a name of 1 to 255 bytes, until it is deleted.

    A session that ends, or whose processes are killed, leaves it; nothing is synced, so a power cut may not.  It is
    counted as used in the store's capacity.  Raises ValueError if the name is taken or the value has references inside
    (which end with the session), ObjectStoreFullError, and NotImplementedError if the store keeps nothing or in a
    worker."""
    _core.save(_name(name), value if isinstance(value, ObjectRef) else _core.put(value))


def load(name: str) -> "ObjectRef[Any]":
    """A reference to a copy of what was saved under the name, by this session or an earlier one.

    Raises KeyError if nothing was, ObjectLostError if its bytes are damaged."""
    return _core.load(_name(name))


def delete(name: str) -> None:
    """Deletes what was saved under the name; copies that were loaded stay.  Raises KeyError if nothing was saved."""
    _core.unsave(_name(name))
