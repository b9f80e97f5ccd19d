"""A pool of actors that take work in turn: ``miniray.util.ActorPool([Actor.remote() for _ in range(4)])``."""

from __future__ import annotations

import collections
import functools
import threading
from concurrent.futures import Future
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional

from .. import _async, _core, _wait
from .._actor import ActorHandle
from ..exceptions import ActorDiedError, RaySystemError

__all__ = ["ActorPool"]

_Fn = Callable[[ActorHandle, Any], Any]


class ActorPool:
    """Gives each value to an actor that is free.

    ``fn(actor, value)`` makes the call and returns its reference: ``lambda a, v: a.double.remote(v)``.  In two ways, which
    share the actors: submit(), map() and their kin keep results until they are taken, and an actor gets its next value
    only then; for use from one thread.  apply_async() and map_async() give futures, and an actor gets its next value
    as soon as it has finished one; from any thread.
    """

    def __init__(self, actors: Iterable[ActorHandle]):
        self._lock = threading.RLock()  # of all below, but never held while a result is waited for
        self._freed = threading.Condition(self._lock)
        self._idle: List[ActorHandle] = list(actors)
        self._busy: Dict[Any, tuple] = {}  # reference -> (index, actor)
        self._refs: Dict[int, Any] = {}  # index -> reference
        self._next_task = 0
        self._next_return = 0
        self._waiting: Deque[tuple] = collections.deque()  # (fn, value, future or None)
        self._running: Dict[Future, ActorHandle] = {}

    def map(self, fn: _Fn, values: Iterable[Any]) -> Iterator[Any]:
        """The results in the order of the values.  What earlier submits left unread is forgotten."""
        self._forget()
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next)

    def map_unordered(self, fn: _Fn, values: Iterable[Any]) -> Iterator[Any]:
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

    def submit(self, fn: _Fn, value: Any) -> None:
        """Has fn(actor, value) called as soon as an actor is free."""
        with self._lock:
            if not self._idle:
                self._waiting.append((fn, value, None))
            else:
                self._begin(self._idle.pop(), fn, value)

    def _begin(self, actor: ActorHandle, fn: _Fn, value: Any) -> None:
        ref = fn(actor, value)
        self._busy[ref] = (self._next_task, actor)
        self._refs[self._next_task] = ref
        self._next_task += 1
        self._freed.notify_all()

    def has_next(self) -> bool:
        """Is there a result of submit() to come?"""
        return bool(self._busy) or any(future is None for _fn, _value, future in self._waiting)

    def get_next(self, timeout: Optional[float] = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submission.

        timeout: seconds, then TimeoutError; ignore_if_timedout: and that result is passed over.  StopIteration when there
        is none; ValueError after get_next_unordered() has taken some out of order.
        """
        self._expect(timeout)
        ref = self._refs.get(self._next_return)
        if ref is None:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        late = timeout is not None and not _wait.look([ref], 1, timeout)[0]
        if late and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        return self._take(ref, late)

    def get_next_unordered(self, timeout: Optional[float] = None, ignore_if_timedout: bool = False) -> Any:
        """Whichever result comes next.

        timeout: seconds, then TimeoutError; ignore_if_timedout: and a result is passed over.  StopIteration when there is
        none; raises what the call raised.
        """
        self._expect(timeout)
        with self._lock:
            refs = list(self._busy)
        ready, _ = _wait.look(refs, 1, timeout)
        if not ready and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        return self._take(ready[0] if ready else refs[0], not ready)

    def _expect(self, timeout: Optional[float]) -> None:
        """Returns when a submitted call has begun: all actors may have futures to make."""
        with self._lock:
            if not self.has_next():
                raise StopIteration("No more results to get")
            if not self._freed.wait_for(lambda: self._busy or not self._running and not self._idle, timeout):
                raise TimeoutError("Timed out waiting for result")
            if not self._busy:
                raise self._all_dead()

    def _all_dead(self) -> ActorDiedError:
        return ActorDiedError(f"every actor of the pool is dead, and {len(self._waiting)} values wait for one: push() another")

    def _take(self, ref: Any, late: bool) -> Any:
        with self._lock:
            index, actor = self._busy.pop(ref)
            del self._refs[index]
            self._next_return = max(self._next_return, index + 1)
        if late:
            self._free(actor)
            raise TimeoutError("Timed out waiting for result: it is passed over")
        try:
            value = _core.get(ref)
        except ActorDiedError:  # it takes no more
            self._fail_if_all_dead()
            raise
        except BaseException:
            self._free(actor)
            raise
        self._free(actor)
        return value

    def _free(self, actor: ActorHandle) -> None:
        """The actor gets what waits first, or is idle."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._idle.append(actor)
                    self._freed.notify_all()
                    return
                fn, value, future = self._waiting.popleft()
                if future is None:
                    self._begin(actor, fn, value)
                    return
            if self._start(actor, fn, value, future):
                return

    # ---- futures -------------------------------------------------------------------------------------------------

    def apply_async(self, fn: _Fn, value: Any) -> "Future[Any]":
        """The Future of the result of fn(actor, value), which is called as soon as an actor is free.

        cancel() takes it back while it waits for an actor.  Callbacks run on a thread of this process.
        """
        future: "Future[Any]" = Future()
        with self._lock:
            if not self._idle:
                if not self._busy and not self._running:
                    raise self._all_dead()
                self._waiting.append((fn, value, future))
                return future
            actor = self._idle.pop()
        if not self._start(actor, fn, value, future):
            self._free(actor)
        return future

    def map_async(self, fn: _Fn, values: Iterable[Any]) -> "Future[List[Any]]":
        """The Future of all results, in the order of the values.  It has the error of the first that failed, when all have
        ended."""
        parts = [self.apply_async(fn, value) for value in values]
        whole: "Future[List[Any]]" = Future()
        whole.set_running_or_notify_cancel()
        left = [len(parts)]

        def ended(_part: "Future[Any]") -> None:
            with self._lock:
                left[0] -= 1
                if left[0] > 0:
                    return
            error = next((why for why in (part.exception() for part in parts) if why is not None), None)
            if error is not None:
                whole.set_exception(error)
            else:
                whole.set_result([part.result() for part in parts])

        for part in parts:
            part.add_done_callback(ended)
        if not parts:
            whole.set_result([])
        return whole

    def _start(self, actor: ActorHandle, fn: _Fn, value: Any, future: "Future[Any]") -> bool:
        """False: the actor is free still."""
        if not future.set_running_or_notify_cancel():
            return False
        with self._lock:
            self._running[future] = actor
        try:
            ref = fn(actor, value)
            _async.watch(ref, functools.partial(self._ended, ref, future))
        except BaseException as why:
            with self._lock:
                del self._running[future]
            future.set_exception(why)
            return False
        return True

    def _ended(self, ref: Any, future: "Future[Any]", alive: bool) -> None:
        """On the ready thread."""
        value: Any = None
        error: Optional[BaseException] = None
        try:
            if not alive:
                raise RaySystemError("the miniray session was shut down")
            value = _core.get(ref, timeout=60)
        except BaseException as why:
            error = why
        with self._lock:
            actor = self._running.pop(future)
        if alive and not isinstance(error, ActorDiedError):
            self._free(actor)
        else:
            self._fail_if_all_dead()
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    def _fail_if_all_dead(self) -> None:
        """What waits for a future has no actor to wait for any more."""
        with self._lock:
            self._freed.notify_all()
            if self._idle or self._busy or self._running:
                return
            error = self._all_dead()
            lost = [future for _fn, _value, future in self._waiting if future is not None]
            self._waiting = collections.deque(entry for entry in self._waiting if entry[2] is None)
        for future in lost:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    # ---- the actors ----------------------------------------------------------------------------------------------

    def has_free(self) -> bool:
        """Is an actor idle, and nothing waiting for it?"""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Optional[ActorHandle]:
        """Takes an idle actor out of the pool; None: there is none."""
        with self._lock:
            return self._idle.pop() if self.has_free() else None

    def push(self, actor: ActorHandle) -> None:
        """Adds an actor.  ValueError when it is in the pool already."""
        with self._lock:
            busy = [a for _, a in self._busy.values()] + list(self._running.values())
            if actor in self._idle or actor in busy:
                raise ValueError("Actor already belongs to current ActorPool")
        self._free(actor)
