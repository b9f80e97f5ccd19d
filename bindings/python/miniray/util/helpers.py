"""Small helpers over references, pickling and logging."""

from __future__ import annotations

import copyreg
import time
from typing import Any, Callable, Hashable, Iterable, Iterator, List, Optional, Set

from .. import _core, _wait

__all__ = ["as_completed", "deregister_serializer", "disable_log_once_globally", "enable_periodic_logging", "log_once",
           "map_unordered", "register_serializer"]


def as_completed(refs: Iterable[Any], *, chunk_size: int = 10, yield_obj_refs: bool = False) -> Iterator[Any]:
    """The values of the references as they become ready, in no order; the references themselves with yield_obj_refs.

    chunk_size: how many are waited for at a time at most.  Raises what the task of a value raised, where its turn comes;
    ValueError for a chunk_size below 1.
    """
    if chunk_size < 1:
        raise ValueError("`chunk_size` must be >= 1")
    rest = list(refs)
    while rest:
        ready, rest = _wait.look(rest, 1, None)
        if rest and chunk_size > 1:  # what is there besides
            more, rest = _wait.look(rest, min(chunk_size - 1, len(rest)), 0)
            ready += more
        yield from ready if yield_obj_refs else map(_core.get, ready)


def map_unordered(fn: Any, items: Iterable[Any], *, backpressure_size: Optional[int] = 100, chunk_size: int = 10,
                  yield_obj_refs: bool = False) -> Iterator[Any]:
    """``fn.remote(item)`` for each item; the results as they come, in no order.

    fn: a remote function.  backpressure_size: calls in flight at most; None: all at once.  chunk_size, yield_obj_refs: as
    in as_completed().  Raises what a call raised, where its turn comes; ValueError if backpressure_size is below chunk_size.
    """
    if backpressure_size is not None and backpressure_size < chunk_size:
        raise ValueError("backpressure_size must be >= chunk_size")
    flying: List[Any] = []
    for item in items:
        if backpressure_size is not None and len(flying) >= backpressure_size:
            ready, flying = _wait.look(flying, min(chunk_size, len(flying)), None)
            yield from ready if yield_obj_refs else map(_core.get, ready)
        flying.append(fn.remote(item))
    yield from as_completed(flying, chunk_size=chunk_size, yield_obj_refs=yield_obj_refs)


def _made_again(deserializer: Callable[[Any], Any], state: Any) -> Any:
    return deserializer(state)


def register_serializer(cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
    """In this process, instances of `cls` are sent as ``serializer(instance)`` and made again by ``deserializer(state)``,
    which travels with them.  Raises TypeError if `cls` is no class."""
    if not isinstance(cls, type):
        raise TypeError(f"register_serializer() takes a class, not {cls!r}")
    copyreg.pickle(cls, lambda instance: (_made_again, (deserializer, serializer(instance))))


def deregister_serializer(cls: type) -> None:
    """Instances of `cls` are pickled in their own way again; nothing happens if they were."""
    copyreg.dispatch_table.pop(cls, None)


_logged: Set[Hashable] = set()
_off = False
_period: Optional[float] = None
_since = time.monotonic()


def log_once(key: Hashable) -> bool:
    """True the first time in this process that it is asked for `key` (again each minute after enable_periodic_logging())."""
    global _since
    if _off:
        return False
    if _period is not None and time.monotonic() - _since > _period:
        _logged.clear()
        _since = time.monotonic()
    if key in _logged:
        return False
    _logged.add(key)
    return True


def disable_log_once_globally() -> None:
    """log_once() is always False from here on."""
    global _off
    _off = True


def enable_periodic_logging() -> None:
    """log_once() forgets each minute what it was asked."""
    global _off, _period
    _off, _period = False, 60.0
