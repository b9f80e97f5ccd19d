"""Calls of plain functions in worker processes, at most so many at a time: what Executor and multiprocessing's Pool share.

A call waits here until it is sent, and can be taken back until then.  What is sent is a task like any other.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
import os
import sys
import threading
import time
import weakref
from typing import Any, Callable, Deque, Dict, Iterable, List, Optional

from . import _api, _async, _code, _core, _function, _options, _session
from .exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

CRASHES = (WorkerCrashedError, OutOfMemoryError, NodeDiedError)
_AHEAD_S = 0.005  # so much work is sent ahead of the workers, where resources see to it that not too much runs
_MOST_AHEAD = 4096
_prepared: "Dict[str, Optional[BaseException]]" = {}  # in a worker: by pool, what its initializer raised
_shipped: "collections.OrderedDict[int, Callable]" = collections.OrderedDict()  # in a worker: the functions used last
_numbers = itertools.count(1)
_living: "weakref.WeakSet[Workers]" = weakref.WeakSet()
exiting = False


class InitializerFailed(Exception):
    """The initializer of a pool raised in a worker process."""


class RemoteTraceback(Exception):
    """The cause of an exception that came from a worker: the traceback there, as text."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


class _Exit(Exception):
    """Carries a SystemExit of the function to the caller: the worker goes on."""


class _Prepare:
    """Runs an initializer once in each process."""

    def __init__(self, key: str, initializer: Callable, initargs: tuple):
        self.key, self.initializer, self.initargs = key, initializer, initargs

    def __call__(self) -> None:
        if self.key not in _prepared:
            _prepared[self.key] = None
            try:
                self.initializer(*self.initargs)
            except BaseException as why:
                _prepared[self.key] = why
        failed = _prepared[self.key]
        if failed is not None:
            raise InitializerFailed(f"the initializer raised {type(failed).__name__} in a worker process") from failed


class Target:
    """What a worker calls for one function, or (function None) for the function that comes as the first argument."""

    def __init__(self, function: Optional[Callable], prepare: Optional[_Prepare]):
        self.function, self.prepare = function, prepare

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.prepare is not None:
            self.prepare()
        function = self.function
        if function is None:
            function, *args = args  # type: ignore[assignment]
            if isinstance(function, list):
                function = _unship(*function)
        try:
            return function(*args, **kwargs)
        except SystemExit as why:
            raise _Exit(why.code) from why


class Each:
    """Calls a function with each of many tuples of arguments; returns the list of the results."""

    def __init__(self, function: Callable):
        self.function = function
        self.__qualname__ = _code.qualified(function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Each) and other.function == self.function

    def __hash__(self) -> int:
        return hash((Each, self.function))

    def __call__(self, rows: "List[tuple]") -> list:
        return [self.function(*row) for row in rows]


def _unship(ref: "_core.ObjectRef") -> Callable:
    function = _shipped.get(ref._id)
    if function is None:
        function = _shipped[ref._id] = _core.get(ref)
        if len(_shipped) > 64:
            _shipped.popitem(last=False)
    return function


def by_name(function: Any) -> bool:
    """Can a module be asked for it?  Then it is the same function at every call."""
    if isinstance(function, Each):
        return by_name(function.function)
    name = getattr(function, "__qualname__", None)
    found = sys.modules.get(getattr(function, "__module__", None) or "")
    for part in name.split(".") if isinstance(name, str) else [""]:
        found = getattr(found, part, None)
    return found is function


def plain(error: BaseException) -> BaseException:
    """The exception as the function raised it, with the remote traceback as its cause."""
    cause = getattr(error, "cause", None) if isinstance(error, RayTaskError) else None
    if cause is None:
        return error
    if isinstance(cause, _Exit):
        cause = SystemExit(*cause.args)
    cause.__cause__ = RemoteTraceback(error.traceback_str)  # type: ignore[attr-defined]
    return cause


class Job:
    """One call.  begin(): may it be sent? (False: it was taken back); end(): its value or error, on some thread.

    Neither may raise.
    """

    __slots__ = ("function", "args", "kwargs", "ref", "__weakref__")

    def __init__(self, function: Any, args: tuple, kwargs: "Dict[str, Any]"):
        self.function, self.args, self.kwargs = function, args, kwargs
        self.ref: Any = None

    def begin(self) -> bool:
        return True

    def end(self, value: Any, error: Optional[BaseException]) -> None:
        raise NotImplementedError


class Workers:
    """Sends jobs to workers in their order, at most `most` of them run at a time.

    options: of remote functions, for every call.  crashed(error): told when a worker died under a call, or could not be
    prepared for it; returns what the call ends with.
    """

    def __init__(self, most: Optional[int], initializer: Optional[Callable] = None, initargs: Iterable[Any] = (),
                 max_calls: Optional[int] = None, options: Optional[Dict[str, Any]] = None,
                 crashed: Callable[[BaseException], BaseException] = lambda error: error):
        _session.ensure()
        self.session = _core.session_number()
        total = 0.0 if _core.is_worker() else _api.cluster_resources().get("CPU", 0.0)
        if most is None:
            most = int(total) or os.cpu_count() or 1
        given = _options.check(dict(options or {}), "remote functions")
        share = min(1.0, math.floor(total / most * _options.UNIT) / _options.UNIT)
        # Resources bound how many run, where the CPUs are not more than that; else what is sent is what runs.  In a
        # worker a pool takes no CPU: its caller waits in ways that the node cannot see, with a CPU that nobody else gets.
        self.elastic = "num_cpus" not in given and 0 < share and total <= most
        self._options = {"num_cpus": share, "max_retries": 0, **given, "num_returns": 1}
        self._prepare: Optional[_Prepare] = None
        self._generic = max_calls is not None
        if max_calls is not None:
            self._options["max_calls"] = max_calls
        if initializer is not None or max_calls is not None:  # processes of its own
            key = f"{os.getpid()}-{next(_numbers)}"
            env = self._options.get("runtime_env", {})
            self._options["runtime_env"] = {**env, "env_vars": {**(env.get("env_vars") or {}), "MINIRAY_POOL": key}}
            if initializer is not None:
                self._prepare = _Prepare(key, initializer, tuple(initargs))
        self.most = most
        self.crashed = crashed
        self._least = self._window = most + 1 if self.elastic else most
        self._gap = _AHEAD_S
        self._last = 0.0
        self.lingers = True  # at the interpreter's end, is it waited for?
        self._closed = False
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._pending: "Deque[Job]" = collections.deque()
        self._sent: "Dict[Job, Any]" = {}
        self._held = 0  # jobs in the hands of a thread: neither pending nor sent
        self._targets: "Dict[Any, _function.RemoteFunction]" = {}
        _living.add(self)

    # ---- what is called ------------------------------------------------------------------------------------------

    def _target(self, function: Optional[Callable]) -> "_function.RemoteFunction":
        made = self._targets.get(function)
        if made is None:
            name = _code.qualified(function) if function is not None else "call"
            made = self._targets[function] = _function.RemoteFunction(Target(function, self._prepare), self._options, None, name)
            made._described = None  # a wrong call is told by its future
        return made

    def ship(self, function: Callable) -> Any:
        """For a function of many jobs: what stands for it in them."""
        if by_name(function) and not self._generic:
            return function
        return [_core.put(function)]

    def _submit(self, job: Job) -> Any:
        function = job.function
        if not isinstance(function, list) and not self._generic and by_name(function):
            return self._target(function).remote(*job.args, **job.kwargs)
        return self._target(None).remote(function, *job.args, **job.kwargs)

    # ---- sending -------------------------------------------------------------------------------------------------

    def add(self, jobs: Iterable[Job]) -> None:
        with self._lock:
            self._pending.extend(jobs)
        self._pump()

    def _pump(self) -> None:
        """Sends what may be sent.  No lock is held while arguments are pickled."""
        while True:
            with self._lock:
                if not self._pending or len(self._sent) + self._held >= self._window:
                    return
                job = self._pending.popleft()
                self._held += 1
            try:
                self._send(job)
            finally:
                self._put_down()

    def _put_down(self) -> None:
        with self._lock:
            self._held -= 1
            if not self._held and not self._sent and not self._pending:
                self._idle.notify_all()

    def _send(self, job: Job) -> None:
        if not job.begin():
            return
        try:
            if self.over():
                raise RuntimeError("the miniray session that this pool belongs to was shut down: make a new one")
            ref = job.ref = self._submit(job)
            job.function = job.args = job.kwargs = None  # type: ignore[assignment]
            with self._lock:
                self._sent[job] = ref
            _async.watch(ref, functools.partial(self._arrived, job, ref))
        except BaseException as why:
            with self._lock:
                self._sent.pop(job, None)
            job.end(None, why)
            if not isinstance(why, Exception):
                raise

    def _arrived(self, job: Job, ref: Any, alive: bool) -> None:
        """The result of a job is there.  Runs on the ready thread."""
        now = time.monotonic()
        with self._lock:
            if self._sent.pop(job, None) is None:
                return  # given up
            self._held += 1
            if self.elastic:
                self._gap += (now - self._last - self._gap) / 16
                self._last = now
                self._window = max(self._least, min(_MOST_AHEAD, int(_AHEAD_S / max(self._gap, 1e-7))))
        try:
            self._finish(job, ref, alive)
        finally:
            del job, ref
            self._put_down()
            self._pump()

    def _finish(self, job: Job, ref: Any, alive: bool) -> None:
        try:
            if not alive:
                self._closed = True
                raise RuntimeError("the miniray session was shut down")
            value = _core.get(ref, timeout=60)
        except BaseException as why:
            error = plain(why)
            job.end(None, self.crashed(error) if isinstance(error, (*CRASHES, InitializerFailed)) else error)
            return
        job.end(value, None)

    # ---- ending --------------------------------------------------------------------------------------------------

    def over(self) -> bool:
        """Did its session end?"""
        return self._closed or self.session != _core.session_number()

    def take_back(self) -> "List[Job]":
        """The jobs that were not sent; they are forgotten here."""
        with self._lock:
            jobs = list(self._pending)
            self._pending.clear()
            if not self._held and not self._sent:
                self._idle.notify_all()
        return jobs

    def stop(self) -> "List[Job]":
        """Gives up everything: what runs is killed.  Returns the jobs that will not end by themselves."""
        jobs = self.take_back()
        with self._lock:
            sent, self._sent = self._sent, {}
            if not self._held:
                self._idle.notify_all()
        if not self.over():
            for ref in sent.values():
                _api.cancel(ref, force=True)
        return list(sent) + jobs

    def wait_idle(self, timeout: Optional[float] = None) -> bool:
        """Waits until every job has ended.  RuntimeError in a callback of a job: it would wait for itself."""
        with self._lock:
            if not (self._pending or self._sent or self._held):
                return True
            if _async.on_ready_thread():
                raise RuntimeError("a callback cannot wait for its own pool to end")
            return self._idle.wait_for(lambda: not (self._pending or self._sent or self._held), timeout)


def _at_exit() -> None:
    """What was submitted is done before the interpreter ends, as with the standard library's pools, unless it ends by Ctrl-C."""
    global exiting
    exiting = True
    interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1")
    for workers in list(_living):
        if workers.over() or _core.is_worker():
            continue
        if workers.lingers and not interrupted:
            workers.wait_idle()
        else:
            workers.stop()


import atexit  # noqa: E402  (registered after the session's own: so it runs before that)

atexit.register(_at_exit)
