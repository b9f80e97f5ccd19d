"""wait(), for threads and for coroutines."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any, Generator, List, Optional, Tuple

from . import _core
from ._core import ObjectRef
from ._generator import ObjectRefGenerator


def wait(ray_waitables: Any, *, num_returns: int = 1, timeout: Optional[float] = None, fetch_local: bool = True) -> Any:
    """Waits until `num_returns` of the references are ready (a value or an error).

    timeout: seconds; None waits for ever, 0 only looks.  Returns (ready, not ready), both in the order given; at most
    `num_returns` are in the first.  ValueError for duplicates and for a num_returns that is not in 1..len(ray_waitables).

    In a coroutine: ``ready, rest = await miniray.wait(refs)`` lets the event loop run on meanwhile, and raises RaySystemError if
    the session ends.  Without `await` it blocks the loop, as in Ray: once the pair is looked at, or at once where nothing is made
    of it.
    """
    _check(ray_waitables, num_returns, timeout)
    events = sys.modules.get("asyncio")  # nothing runs in a loop where nobody has imported it
    if events is None or events._get_running_loop() is None:
        return look(ray_waitables, num_returns, timeout) if ray_waitables else ([], [])
    made = Waiting(ray_waitables, num_returns, timeout)
    if made._pair is None and _is_statement(sys._getframe(1)):
        made._now()
    return made


class Waiting(Sequence):
    """What wait() gives in a coroutine: the pair (ready, not ready), once it is awaited or looked at."""

    __slots__ = ("_refs", "_n", "_timeout", "_pair", "_awaited")

    def __init__(self, refs: List[Any], n: int, timeout: Optional[float]):
        self._refs, self._n, self._timeout, self._awaited = list(refs), n, timeout, False
        pair: Any = look(self._refs, n, 0) if refs else ([], [])
        self._pair: Optional[Tuple[List[Any], List[Any]]] = pair if not refs or timeout == 0 or len(pair[0]) == n else None

    def _now(self) -> Tuple[List[Any], List[Any]]:
        if self._pair is None:
            if _core.is_worker():
                warnings.warn("Using blocking ray.wait inside async method. This blocks the event loop. Please use `await ray.wait(...)`.",
                              RuntimeWarning, stacklevel=3)
            self._pair = look(self._refs, self._n, self._timeout)
        return self._pair

    async def _later(self) -> Tuple[List[Any], List[Any]]:
        if self._pair is None:
            from ._async import some_ready

            self._awaited = True
            ready, rest = look(self._refs, self._n, 0)
            await some_ready([_waited(ref) for ref in rest], self._n - len(ready), self._timeout)
            self._pair = look(self._refs, self._n, 0)
        return self._pair

    def __await__(self) -> Generator[Any, None, Tuple[List[Any], List[Any]]]:
        return self._later().__await__()

    def __getitem__(self, index: Any) -> Any:
        return self._now()[index]

    def __len__(self) -> int:
        return 2

    def __eq__(self, other: object) -> bool:
        return self._now() == (other._now() if isinstance(other, Waiting) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._now())

    def __reduce__(self) -> Any:
        return tuple, (self._now(),)

    def __del__(self) -> None:
        if getattr(self, "_pair", True) is None and not self._awaited:
            warnings.warn("miniray.wait() in a coroutine was neither awaited nor looked at: it did not wait", RuntimeWarning, stacklevel=2)


def _is_statement(frame: Any) -> bool:
    """Is nothing made of what the call at which `frame` stands returns?"""
    from opcode import opmap

    code = frame.f_code.co_code
    at = frame.f_lasti + 2
    while at < len(code) and code[at] == 0:  # caches
        at += 2
    return at < len(code) and code[at] == opmap["POP_TOP"]


def _waited(ref: Any) -> ObjectRef:
    return ref._task if isinstance(ref, ObjectRefGenerator) else ref


def look(refs: List[Any], num_returns: int, timeout: Optional[float]) -> Tuple[List[Any], List[Any]]:
    return _core.wait(refs, num_returns, timeout)


def _check(refs: Any, num_returns: Any, timeout: Any) -> None:
    """What is no matter of the single references, which `_core.wait` looks at."""
    wanted = "wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got"
    if isinstance(refs, (ObjectRef, ObjectRefGenerator)):
        raise TypeError(f"{wanted} a single ray.ObjectRef or ray.ObjectRefGenerator")
    if not isinstance(refs, list):
        raise TypeError(f"{wanted} {type(refs)}")
    if timeout is not None and timeout < 0:
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}")
    if not isinstance(num_returns, int) or isinstance(num_returns, bool):
        raise TypeError(f"num_returns is an int, not {type(num_returns)}")
    if not refs:
        return
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}.")
    if num_returns > len(refs):
        raise ValueError(f"num_returns cannot be greater than the number of ray_waitables provided to ray.wait: {num_returns} of {len(refs)}.")
