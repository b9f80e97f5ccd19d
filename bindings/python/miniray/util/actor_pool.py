"""A pool of actors that take work in turn: ``miniray.util.ActorPool([Actor.remote() for _ in range(4)])``."""

from __future__ import annotations

import collections
import time
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional

from .. import _api, _core
from .._actor import ActorHandle
from ..exceptions import ActorDiedError

__all__ = ["ActorPool"]


class ActorPool:
    """Gives each value to an actor that is free; an actor gets its next value when its last result was taken.

    ``fn(actor, value)`` makes the call and returns its reference: ``lambda a, v: a.double.remote(v)``.  Not for use
    from several threads.
    """

    def __init__(self, actors: Iterable[ActorHandle]):
        self._idle: List[ActorHandle] = list(actors)
        self._busy: Dict[Any, tuple] = {}  # reference -> (index, actor)
        self._refs: Dict[int, Any] = {}  # index -> reference
        self._next_task = 0
        self._next_return = 0
        self._waiting: Deque[tuple] = collections.deque()

    def map(self, fn: Callable[[ActorHandle, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """The results in the order of the values.  What earlier submits left unread is forgotten."""
        self._forget()
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next)

    def map_unordered(self, fn: Callable[[ActorHandle, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """The results as they come."""
        self._forget()
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next_unordered)

    def _results(self, take: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield take()

    def _forget(self) -> None:
        while self.has_next():
            try:
                self.get_next_unordered(timeout=0, ignore_if_timedout=True)
            except Exception:
                continue  # an error of a call that nobody asked for

    def submit(self, fn: Callable[[ActorHandle, Any], Any], value: Any) -> None:
        """Has fn(actor, value) called as soon as an actor is free."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        ref = fn(actor, value)
        self._busy[ref] = (self._next_task, actor)
        self._refs[self._next_task] = ref
        self._next_task += 1

    def has_next(self) -> bool:
        """Is there a result to come?"""
        return bool(self._busy) or bool(self._waiting)

    def get_next(self, timeout: Optional[float] = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submission.

        timeout: seconds, then TimeoutError; ignore_if_timedout: and that result is passed over.  StopIteration when there
        is none; ValueError after get_next_unordered() has taken some out of order.
        """
        self._expect()
        ref = self._refs.get(self._next_return)
        if ref is None:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        late = timeout is not None and not _api.wait([ref], timeout=timeout)[0]
        if late and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        return self._take(ref, late)

    def get_next_unordered(self, timeout: Optional[float] = None, ignore_if_timedout: bool = False) -> Any:
        """Whichever result comes next.

        timeout: seconds, then TimeoutError; ignore_if_timedout: and a result is passed over.  StopIteration when there is
        none; raises what the call raised.
        """
        self._expect()
        ready, _ = _api.wait(list(self._busy), num_returns=1, timeout=timeout)
        if not ready and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        return self._take(ready[0] if ready else next(iter(self._busy)), not ready)

    def _expect(self) -> None:
        if not self.has_next():
            raise StopIteration("No more results to get")
        if not self._busy:
            raise ActorDiedError(f"every actor of the pool is dead, and {len(self._waiting)} values wait for one: push() another")

    def _take(self, ref: Any, late: bool) -> Any:
        index, actor = self._busy.pop(ref)
        del self._refs[index]
        self._next_return = max(self._next_return, index + 1)
        if late:
            self._free(actor)
            raise TimeoutError("Timed out waiting for result: it is passed over")
        try:
            value = _core.get(ref)
        except ActorDiedError:  # it takes no more
            raise
        except BaseException:
            self._free(actor)
            raise
        self._free(actor)
        return value

    def _free(self, actor: ActorHandle) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def has_free(self) -> bool:
        """Is an actor idle, and nothing waiting for it?"""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Optional[ActorHandle]:
        """Takes an idle actor out of the pool; None: there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: ActorHandle) -> None:
        """Adds an actor.  ValueError when it is in the pool already."""
        if actor in self._idle or any(actor == busy for _, busy in self._busy.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._free(actor)
