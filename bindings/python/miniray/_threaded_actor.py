"""An actor with max_concurrency > 1: calls run on a pool of threads, in no order."""

from __future__ import annotations

import gc
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
    try:
        function = _worker._methods.get(call.func)
        if function is None:
            function = _worker._methods[call.func] = _worker.method_of(call.entry)
        args, kwargs = call.arguments()
        made = function(instance, *args, **kwargs)
        del args, kwargs
        if call.flags & _core.DEF_STREAMING:
            for item in made:
                call.emit(item)
        else:
            call.give_all(made)
    except BaseException as exc:
        try:
            _worker._fail(call, exc)
        except _Left:
            _leaving.set()
            os.kill(os.getpid(), signal.SIGINT)  # the main thread waits for calls: it looks at the flag
        return
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
            call.finish(_core.OK)
            if kind == _core.CALL_LEAVE:
                return
            if kind == _core.CALL_COLLECT:
                gc.collect()
