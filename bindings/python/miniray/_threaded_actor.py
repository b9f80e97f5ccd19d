"""An actor with max_concurrency > 1: calls run on a pool of threads, in no order."""

from __future__ import annotations

import gc
import inspect
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import _core, _worker
from ._worker import _Left

_leaving = threading.Event()


def _one(call: "_core.Call", instance: Any) -> None:
    if not call.start(False):
        call.finish(_core.E_CANCELLED)
        return
    items = None
    _worker._running[call.task] = call
    try:
        function = _worker._methods.get(call.func)
        if function is None:
            function = _worker._methods[call.func] = _worker.method_of(call.entry)
        args, kwargs = call.arguments()
        made = function(instance, *args, **kwargs)
        del args, kwargs
        if call.flags & _worker._ITEMS or call.n_returns > 1 and inspect.isgenerator(made):
            items = _worker.Items(call)
            for item in made:
                items.take(item)
            items.end()
        else:
            call.give_all(made)
    except BaseException as exc:
        try:
            if items is not None and items.failed(exc):
                call.finish(_core.OK)
                return
            _worker._fail(call, exc)
        except _Left:
            _leaving.set()
            os.kill(os.getpid(), signal.SIGINT)  # the main thread waits for calls: it looks at the flag
        return
    finally:
        _worker._running.pop(call.task, None)
        _worker.cancelled.discard(call.task)
    call.finish(_core.OK)


def serve(instance: Any, threads: int) -> None:
    """Runs calls until told to leave; running ones are finished first."""
    with ThreadPoolExecutor(threads, thread_name_prefix="actor") as pool:
        while True:
            try:
                call = _core.next_call(True)
            except KeyboardInterrupt:
                if _leaving.is_set():
                    return
                continue
            if call is None:
                return
            if call.kind == _core.CALL_METHOD:
                pool.submit(_one, call, instance)
                continue
            kind = call.kind
            if kind == _core.CALL_CANCEL and call.task in _worker._running:
                _worker.cancelled.add(call.task)
            call.finish(_core.OK)
            if kind == _core.CALL_LEAVE:
                return
            if kind == _core.CALL_COLLECT:
                gc.collect()
