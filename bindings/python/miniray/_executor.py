"""miniray.Executor: the standard library's way to run functions elsewhere."""

from __future__ import annotations

import collections
import itertools
import logging
import threading
import time
from concurrent.futures import CancelledError, Executor as _Base, Future, TimeoutError as _TimeoutError
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, Optional

from . import _pool

__all__ = ["Executor"]


class _Call(_pool.Job):
    """A job whose outcome is a Future's."""

    __slots__ = ("future",)

    def __init__(self, function: Any, args: tuple, kwargs: Dict[str, Any]):
        super().__init__(function, args, kwargs)
        self.future: "Future[Any]" = Future()

    def begin(self) -> bool:
        return self.future.set_running_or_notify_cancel()

    def end(self, value: Any, error: Optional[BaseException]) -> None:
        if self.future.done():
            return
        if not self.future.running() and not self.future.set_running_or_notify_cancel():
            return
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)

    def cancel(self) -> None:
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()


class _Part(_pool.Job):
    """A job of map(): its outcome stays here until the iterator comes by."""

    __slots__ = ("value", "error", "done", "cancelled", "results")

    def __init__(self, function: Any, args: tuple, results: "_Results"):
        super().__init__(function, args, _NO_KWARGS)
        self.value: Any = None
        self.error: Optional[BaseException] = None
        self.done = self.cancelled = False
        self.results = results

    def begin(self) -> bool:
        return not self.cancelled

    def end(self, value: Any, error: Optional[BaseException]) -> None:
        self.value, self.error = value, error
        self.done = True
        results = self.results
        if results.awaited is self:
            with results.lock:
                results.lock.notify()

    def cancel(self) -> None:
        self.cancelled = True
        if not self.done:
            self.end(None, CancelledError())


_NO_KWARGS: Dict[str, Any] = {}


class _Results:
    """Where the reader of a map() waits: for one part at a time, so that the others end without a lock."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.Lock())
        self.awaited: Optional[_Part] = None

    def wait(self, part: _Part, deadline: Optional[float]) -> None:
        with self.lock:
            self.awaited = part
            try:
                while not part.done:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0 or not self.lock.wait(left) and not part.done:
                        raise _TimeoutError()
            finally:
                self.awaited = None


class Executor(_Base):
    """A ``concurrent.futures.Executor`` on miniray's workers: for every library that takes an executor.

    max_workers: so many calls run at a time (default: the CPUs of the session).  initializer, initargs: called in each
    worker process before its first call; such an executor has processes of its own.  max_tasks_per_child: a process is
    replaced after so many calls.  options: of remote functions (num_gpus, resources, runtime_env, max_retries, ...), for
    all calls.  Opens the default session if none is open, and leaves it open.

    As with ProcessPoolExecutor, a call whose worker dies breaks the executor (BrokenProcessPool), unless max_retries is
    given and a later attempt succeeds.  Not as there: functions may be lambdas and closures; arrays arrive read-only.
    Callbacks run on a thread of this process; they must not wait for other calls.  Usable from any thread.
    Raises ValueError, TypeError for wrong arguments.
    """

    def __init__(self, max_workers: Optional[int] = None, *, initializer: Optional[Callable[..., Any]] = None,
                 initargs: Iterable[Any] = (), max_tasks_per_child: Optional[int] = None, **options: Any):
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
        self._shut = False
        self._broken: Optional[str] = None
        self._workers = _pool.Workers(max_workers, initializer, initargs, max_tasks_per_child, options, self._crashed)
        self._max_workers = self._workers.most

    def _refusal(self) -> Optional[Exception]:
        if self._broken is not None:
            return _broken(self._broken)
        if self._shut:
            return RuntimeError("cannot schedule new futures after shutdown")
        if _pool.exiting:
            return RuntimeError("cannot schedule new futures after interpreter shutdown")
        if self._workers.over():
            return _broken("the miniray session that it belongs to was shut down")
        return None

    def _add(self, jobs: "list[Any]") -> None:
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        self._workers.add(jobs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Runs fn(*args, **kwargs) in a worker; returns its Future.  An argument that is an ObjectRef is its value there.

        RuntimeError after shutdown(), BrokenProcessPool (a RuntimeError too) after a worker died.  What cannot be pickled
        is told by the future.
        """
        job = _Call(fn, args, kwargs)
        self._add([job])
        return job.future

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 1, buffersize: Optional[int] = None) -> Iterator[Any]:
        """fn of the items of the iterables, in their order.  All calls begin at once.

        timeout: seconds from now until a result must be there, else TimeoutError.  chunksize: so many items are one call.
        buffersize: the iterables are read so many chunks ahead of the results that were taken, and not at once.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        rows: Iterator[tuple] = zip(*iterables)
        function: Any = fn
        if chunksize > 1:
            function = _pool.Each(fn)
            rows = ((chunk,) for chunk in _chunks(rows, chunksize))
        results = _Results()
        self._add([])
        shipped = self._workers.ship(function)
        parts: "Deque[_Part]" = collections.deque(_Part(shipped, row, results) for row in itertools.islice(rows, buffersize))
        self._add(list(parts))
        one = _one_by_one(self, parts, results, deadline, (shipped, rows) if buffersize else None)
        return itertools.chain.from_iterable(one) if chunksize > 1 else one

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls.  wait: returns when all have ended.  cancel_futures: those that were not sent are cancelled."""
        self._shut = True
        if cancel_futures:
            for job in self._workers.take_back():
                job.cancel()  # type: ignore[attr-defined]
        if wait:
            self._workers.wait_idle()

    def __exit__(self, kind: Any, why: Any, trace: Any) -> None:
        """As ever; but Ctrl-C does not wait for what runs: it is killed, and its futures say CancelledError."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._shut = True
            for job in self._workers.stop():
                job.cancel()  # type: ignore[attr-defined]
                job.end(None, CancelledError())
        self.shutdown(wait=True)

    def _crashed(self, why: BaseException) -> BaseException:
        """A worker died, or could not be prepared: nothing that was sent can be trusted to come back."""
        if self._broken is None:
            self._broken = str(why)
            if isinstance(why, _pool.InitializerFailed):
                logging.getLogger("concurrent.futures").critical("Exception in initializer: %s", why.__cause__)
            for job in self._workers.stop():
                job.end(None, _broken(self._broken))
        return _broken(self._broken)


def _broken(why: str) -> Exception:
    from concurrent.futures.process import BrokenProcessPool

    return BrokenProcessPool(f"the executor is not usable any more: {why}")


def _chunks(rows: Iterator[tuple], size: int) -> Iterator[list]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def _one_by_one(executor: Executor, parts: "Deque[_Part]", results: _Results, deadline: Optional[float],
                more: Optional[tuple]) -> Iterator[Any]:
    """The values of the parts; takes back those that were not read.  more: (function, rows) to go on with."""
    try:
        while parts:
            if more is not None:
                for row in itertools.islice(more[1], 1):
                    parts.append(_Part(more[0], row, results))
                    executor._add([parts[-1]])
            yield _first(parts, results, deadline)
    finally:
        for part in parts:
            part.cancel()


def _first(parts: "Deque[_Part]", results: _Results, deadline: Optional[float]) -> Any:
    """The value of the first part, which is then gone from here."""
    part = parts[0]
    if not part.done:
        results.wait(part, deadline)
    parts.popleft()
    error = part.error
    if error is None:
        return part.value
    try:
        raise error
    finally:
        del error, part
