"""multiprocessing's Pool on miniray's workers: ``from miniray.util.multiprocessing import Pool``.

All its methods, with their meaning.  Better than there: functions may be lambdas and closures; a worker that dies fails
its own call (WorkerCrashedError), where the original waits for ever; what a terminated pool leaves undone raises.
Not as there: arrays arrive read-only, and pools share worker processes unless they have an initializer or maxtasksperchild.
"""

from __future__ import annotations

import collections
import itertools
import logging
import threading
import time
from multiprocessing import TimeoutError
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional

from .. import _pool

__all__ = ["Pool", "AsyncResult", "IMapIterator", "TimeoutError"]

_AHEAD = 1000  # chunks of an imap() that are read before their results are there


class _Chunk(_pool.Job):
    """A job that is one part of a result."""

    __slots__ = ("result", "index")

    def __init__(self, function: Any, args: tuple, kwargs: Dict[str, Any], result: Any, index: int):
        super().__init__(function, args, kwargs)
        self.result, self.index = result, index

    def end(self, value: Any, error: Optional[BaseException]) -> None:
        self.result._part(self.index, value, error)


class AsyncResult:
    """The result of a call, or of many, that may not be there yet."""

    def __init__(self, parts: int, callback: Optional[Callable], error_callback: Optional[Callable], flatten: bool):
        self._values: List[Any] = [None] * parts
        self._left = parts
        self._flatten = flatten
        self._error: Optional[BaseException] = None
        self._callback, self._error_callback = callback, error_callback
        self._lock = threading.Lock()
        self._event = threading.Event()
        if not parts:
            self._event.set()

    def _part(self, index: int, value: Any, error: Optional[BaseException]) -> None:
        with self._lock:
            self._values[index] = value
            if error is not None and self._error is None:
                self._error = error
            self._left -= 1
            if self._left:
                return
        callback, told = (self._callback, self._value()) if self._error is None else (self._error_callback, self._error)
        if callback is not None:
            try:
                callback(told)
            except Exception:
                logging.getLogger(__name__).exception("a callback of a Pool raised")
        self._event.set()

    def _value(self) -> Any:
        return list(itertools.chain.from_iterable(self._values)) if self._flatten or not self._values else self._values[0]

    def ready(self) -> bool:
        """Has the call ended?"""
        return self._event.is_set()

    def successful(self) -> bool:
        """Did it end without an exception?  ValueError while it has not ended."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None

    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until the call has ended, at most `timeout` seconds.  Raises nothing: ask ready()."""
        self._event.wait(timeout)

    def get(self, timeout: Optional[float] = None) -> Any:
        """The value; raises what the call raised, and multiprocessing.TimeoutError after `timeout` seconds."""
        if not self._event.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value()


class IMapIterator:
    """The results of imap(): an iterator whose next() takes a timeout in seconds."""

    def __init__(self, ordered: bool):
        self._ordered = ordered
        self._lock = threading.Condition(threading.Lock())
        self._there: Dict[int, tuple] = {}
        self._order: Deque[int] = collections.deque()  # of arrival
        self._next = 0
        self._total: Optional[int] = None  # known when the iterable has been read
        self._room = threading.Semaphore(_AHEAD)

    def _part(self, index: int, value: Any, error: Optional[BaseException]) -> None:
        with self._lock:
            self._there[index] = (value, error)
            self._order.append(index)
            self._lock.notify_all()
        self._room.release()

    def _read(self, total: int) -> None:
        with self._lock:
            self._total = total
            self._lock.notify_all()

    def __iter__(self) -> "IMapIterator":
        return self

    def next(self, timeout: Optional[float] = None) -> Any:
        """The next result; multiprocessing.TimeoutError when it is not there in `timeout` seconds, StopIteration at the end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            while not (self._next in self._there if self._ordered else self._there):
                if self._next == self._total:
                    raise StopIteration
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                self._lock.wait(left)
            value, error = self._there.pop(self._next if self._ordered else self._order.popleft())
            self._next += 1
        if error is not None:
            raise error
        return value

    __next__ = next


class Pool:
    """Like multiprocessing.Pool.

    processes: so many calls run at a time (default: the session's CPUs).  initializer, initargs: called in each process
    before its first call.  maxtasksperchild: a process is replaced after so many chunks.  ray_remote_args: options of
    remote functions for all calls (num_gpus, resources, ...).  Opens the default session if none is open.
    """

    def __init__(self, processes: Optional[int] = None, initializer: Optional[Callable] = None, initargs: Iterable[Any] = (),
                 maxtasksperchild: Optional[int] = None, context: Any = None, ray_address: Optional[str] = None,
                 ray_remote_args: Optional[Dict[str, Any]] = None):
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if ray_address is not None:
            raise ValueError(f"ray_address={ray_address!r}: miniray runs on this machine only")
        self._workers = _pool.Workers(processes, initializer, initargs, maxtasksperchild, ray_remote_args)
        self._workers.lingers = False
        self._state = "running"
        self._feeders: List[threading.Thread] = []

    # ---- one call ------------------------------------------------------------------------------------------------

    def apply(self, func: Callable, args: Iterable[Any] = (), kwds: Optional[Dict[str, Any]] = None) -> Any:
        """func(*args, **kwds) in a worker; waits for its value."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func: Callable, args: Iterable[Any] = (), kwds: Optional[Dict[str, Any]] = None,
                    callback: Optional[Callable] = None, error_callback: Optional[Callable] = None) -> AsyncResult:
        """The same without waiting.  callback(value) or error_callback(exception) runs on a thread of this process."""
        self._check()
        result = AsyncResult(1, callback, error_callback, False)
        self._workers.add([_Chunk(func, tuple(args), dict(kwds or {}), result, 0)])
        return result

    # ---- many ----------------------------------------------------------------------------------------------------

    def map(self, func: Callable, iterable: Iterable[Any], chunksize: Optional[int] = None) -> List[Any]:
        """[func(x) for x in iterable], in chunks of `chunksize` items (default: four chunks a process)."""
        return self.map_async(func, iterable, chunksize).get()

    def map_async(self, func: Callable, iterable: Iterable[Any], chunksize: Optional[int] = None,
                  callback: Optional[Callable] = None, error_callback: Optional[Callable] = None) -> AsyncResult:
        """map() without waiting; one callback for all.  When calls fail, the first error that came is the result's."""
        return self._map(func, [(x,) for x in iterable], chunksize, callback, error_callback)

    def starmap(self, func: Callable, iterable: Iterable[Iterable[Any]], chunksize: Optional[int] = None) -> List[Any]:
        """[func(*x) for x in iterable]"""
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(self, func: Callable, iterable: Iterable[Iterable[Any]], chunksize: Optional[int] = None,
                      callback: Optional[Callable] = None, error_callback: Optional[Callable] = None) -> AsyncResult:
        """starmap() without waiting."""
        return self._map(func, [tuple(x) for x in iterable], chunksize, callback, error_callback)

    def _map(self, func: Callable, rows: List[tuple], chunksize: Optional[int], callback: Optional[Callable],
             error_callback: Optional[Callable]) -> AsyncResult:
        self._check()
        if chunksize is None:
            chunksize = max(1, -(-len(rows) // (self._workers.most * 4)))
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        chunks = [rows[i:i + chunksize] for i in range(0, len(rows), chunksize)]
        result = AsyncResult(len(chunks), callback, error_callback, True)
        if chunks:
            each = self._workers.ship(_pool.Each(func))
            self._workers.add([_Chunk(each, (chunk,), {}, result, i) for i, chunk in enumerate(chunks)])
        return result

    # ---- as they come --------------------------------------------------------------------------------------------

    def imap(self, func: Callable, iterable: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        """func of the items as an iterator, in their order.  The iterable is read on a thread, some way ahead."""
        return self._imap(func, iterable, chunksize, True)

    def imap_unordered(self, func: Callable, iterable: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        """The same in the order in which the results come."""
        return self._imap(func, iterable, chunksize, False)

    def _imap(self, func: Callable, iterable: Iterable[Any], chunksize: int, ordered: bool) -> Iterator[Any]:
        self._check()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        results = IMapIterator(ordered)
        shipped = self._workers.ship(func if chunksize == 1 else _pool.Each(func))
        feeder = threading.Thread(target=self._feed, args=(results, shipped, iter(iterable), chunksize), daemon=True,
                                  name="miniray-imap")
        self._feeders = [t for t in self._feeders if t.is_alive()] + [feeder]
        feeder.start()
        return results if chunksize == 1 else itertools.chain.from_iterable(results)

    def _feed(self, results: IMapIterator, function: Any, items: Iterator[Any], size: int) -> None:
        total = 0
        try:
            while True:
                chunk = [(x,) for x in itertools.islice(items, size)]
                if not chunk:
                    break
                while not results._room.acquire(timeout=0.1):
                    if self._state == "terminated" or self._workers.over():
                        break
                if self._state == "terminated" or self._workers.over():
                    raise RuntimeError("the pool was terminated")
                self._workers.add([_Chunk(function, chunk[0] if size == 1 else (chunk,), {}, results, total)])
                total += 1
        except BaseException as why:  # of the iterable: it is the last result
            results._part(total, None, why)
            total += 1
        results._read(total)

    # ---- its end -------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._state != "running":
            raise ValueError("Pool not running")
        if self._workers.over():
            raise ValueError("Pool not running: the miniray session that it belongs to was shut down")

    def close(self) -> None:
        """No more calls; those that were made end as usual."""
        if self._state == "running":
            self._state = "closed"

    def terminate(self) -> None:
        """Ends at once: what runs is killed, what is undone raises RuntimeError in get()."""
        self._state = "terminated"
        for job in self._workers.stop():
            result = job.result  # type: ignore[attr-defined]
            if isinstance(result, AsyncResult):
                result._callback = result._error_callback = None
            job.end(None, RuntimeError("the pool was terminated"))

    def join(self) -> None:
        """Waits until all calls have ended.  ValueError before close() or terminate()."""
        if self._state == "running":
            raise ValueError("Pool is still running")
        for feeder in self._feeders:
            feeder.join()
        self._workers.wait_idle()

    def __enter__(self) -> "Pool":
        self._check()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.terminate()

    def __reduce__(self):
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __repr__(self) -> str:
        return f"<miniray.util.multiprocessing.Pool {self._state}, {self._workers.most} processes>"
