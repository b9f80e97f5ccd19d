"""References that can be awaited.  One thread, started when first needed, waits for the notes of the core."""

from __future__ import annotations

import functools
import itertools
import sys
import threading
from concurrent.futures import Future
from typing import Any, Callable, Dict, Generator, List, Optional

from . import _core, _session
from .exceptions import RaySystemError

_lock = threading.Lock()
_pending: "Dict[int, tuple]" = {}
_numbers = itertools.count(1)
_thread: Optional[threading.Thread] = None
_stopping = False


def _finish(ref: "_core.ObjectRef", future: Future, fetch: bool, alive: bool) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        if not alive:
            raise RaySystemError("the miniray session was shut down")
        value = _core.get(ref, timeout=60) if fetch else None
    except BaseException as why:
        future.set_exception(why)
    else:
        future.set_result(value)


def _run() -> None:
    while not _stopping:
        for number in _core.ready_wait():
            with _lock:
                entry = _pending.pop(number, None)
            if entry is not None:
                try:
                    entry[1](True)
                except BaseException:  # told as of any thread; the others still wait for theirs
                    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
                del entry


def _stop() -> None:
    """Before the session closes: what is still awaited fails, the thread ends."""
    global _thread, _stopping
    thread = _thread
    if thread is None:
        return
    _stopping = True
    _core.ready_wake()
    thread.join()
    _core.ready_close()
    _thread = None
    _stopping = False
    with _lock:
        left = list(_pending.values())
        _pending.clear()
    for _ref, done in left:
        done(False)


def watch(ref: "_core.ObjectRef", done: "Callable[[bool], Any]") -> int:
    """Has done(True) called on the ready thread once the value is there, or done(False) when the session ends before.
    Returns a number, for unwatch().

    `done` must not raise, and what waits for another reference to be ready must not wait in it.
    """
    global _thread
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_run, name="miniray-ready", daemon=True)
            _thread.start()
            if _stop not in _session.at_shutdown:
                _session.at_shutdown.append(_stop)
        number = next(_numbers)
        _pending[number] = (ref, done)
    try:
        _core.on_ready(ref, number)
    except BaseException:
        with _lock:
            _pending.pop(number, None)
        raise
    return number


def unwatch(number: int) -> None:
    """What was to be called is forgotten."""
    with _lock:
        _pending.pop(number, None)


async def some_ready(refs: "List[_core.ObjectRef]", n: int, timeout: Optional[float]) -> None:
    """Returns when `n` of the references are ready, or after `timeout` seconds.  RaySystemError: the session ended."""
    import asyncio

    loop = asyncio.get_running_loop()
    enough: "asyncio.Future[None]" = loop.create_future()
    left = n

    def one(alive: bool) -> None:
        nonlocal left
        left -= 1
        if enough.done():
            return
        if not alive:
            enough.set_exception(RaySystemError("the miniray session was shut down"))
        elif left == 0:
            enough.set_result(None)

    def told(alive: bool) -> None:
        try:
            loop.call_soon_threadsafe(one, alive)
        except RuntimeError:
            pass  # the loop was closed: nobody waits any more

    numbers = []
    try:
        for ref in refs:
            numbers.append(watch(ref, told))
        await asyncio.wait_for(enough, timeout)
    except asyncio.TimeoutError:
        pass
    finally:
        for number in numbers:
            unwatch(number)


def on_ready_thread() -> bool:
    """Is this the thread on which `watch` calls back?"""
    return threading.current_thread() is _thread


def to_future(ref: "_core.ObjectRef", fetch: bool = True) -> Future:
    """A concurrent.futures.Future of the value.  Cancelling it does not cancel the task.

    fetch=False: of None, as soon as the value (of a stream: its next item or its end) is there."""
    future: Future = Future()
    watch(ref, functools.partial(_finish, ref, future, fetch))
    return future


def await_ref(ref: "_core.ObjectRef") -> Generator[Any, None, Any]:
    """The iterator of ``await ref``."""
    import asyncio

    return asyncio.wrap_future(to_future(ref), loop=asyncio.get_running_loop()).__await__()


async def ready(ref: "_core.ObjectRef") -> None:
    """Returns when there is a value, or an item or the end of a stream."""
    import asyncio

    await asyncio.wrap_future(to_future(ref, fetch=False))
