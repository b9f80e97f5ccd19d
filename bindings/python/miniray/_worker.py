"""What a Python worker process does: take a call, run it, again.

Plain tasks and plain actors run on the main thread (so that a cancel can interrupt them), async actors on one event
loop, actors with max_concurrency on a pool of threads.
"""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

from . import _calls, _core, _session
from ._calls import ITEMS, Left


def _name_output(instance: Any) -> None:
    """What the actor prints from here on is shown under its repr.  Told in the output itself, where it takes effect."""
    import stat

    try:
        text = " ".join(repr(instance).split())[:100]
        sys.stdout.flush()
        if stat.S_ISFIFO(os.fstat(1).st_mode):  # the constructor may have sent it elsewhere
            os.write(1, f"\033]miniray-name;{text}\n".encode("utf-8", "backslashreplace"))
    except Exception:
        pass  # a repr that raises names nothing


def _create(call: "_core.Call") -> None:
    """The constructor of the actor that this process becomes."""
    cls = _calls.functions.get(call.func) or _calls.load(call)
    ref = _weak(call.actor or call.task)
    _session._actor_ref = ref
    _session._actor_class = cls
    _session._actor_attempt = call.attempt
    _session._assigned = _calls.held.get(call.func, {})

    def construct(*args: Any, **kwargs: Any) -> None:
        _session._instance = cls(*args, **kwargs)
        if type(_session._instance).__repr__ is not object.__repr__:
            _name_output(_session._instance)

    actor_flags, concurrency = call.flags, call.max_concurrency
    if not call.run(construct, None):  # this process goes on as one that is no actor
        _session._instance = _session._actor_ref = _session._actor_class = None
        _session._actor_attempt = 0
        return
    groups = _session._actor_options.get("concurrency_groups", {})
    system = _has_system(cls)
    if actor_flags & _core.DEF_ASYNC:
        from ._async_actor import serve

        serve(_session._instance, list(groups) if groups or system else None)
        raise Left
    if concurrency > 1 or groups or system:
        from ._threaded_actor import serve as serve_threads

        serve_threads(_session._instance, concurrency + sum(groups.values()) + system)
        raise Left


def _has_system(cls: Any) -> bool:
    """Does a method of it want to answer while others are blocked?"""
    for base in cls.__mro__:
        for member in vars(base).values():
            options = getattr(getattr(member, "__func__", member), "__miniray_method__", None)
            if options and options.get("concurrency_group") == "_ray_system":
                return True
    return False


def _weak(number: int) -> "_core.ObjectRef":
    """A reference that does not count: an actor must not keep itself alive."""
    return _core.ObjectRef(_core.session_number().to_bytes(8, "big") + number.to_bytes(8, "big") + bytes(12))


_visible = [x.strip() for x in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if x.strip()]


def _give_gpus(gpus: int) -> None:
    """Tells the task, and the libraries that it uses, which GPUs are its own."""
    names = [str(i) for i in range(gpus.bit_length()) if gpus >> i & 1]
    if _visible:  # the driver itself was given some: ours are numbered within those
        names = [_visible[int(i)] if int(i) < len(_visible) else i for i in names]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    _session._gpus = [int(x) if x.isdigit() else x for x in names]


def _run(call: "_core.Call") -> None:
    _calls.current = call
    kind = call.kind
    if call.gpus:
        _give_gpus(call.gpus)
    if kind == _core.CALL_TASK:
        function = _calls.functions.get(call.func) or _calls.load(call)
        if call.flags & ITEMS or call.n_returns > 1 and inspect.isgeneratorfunction(function):
            _calls.run_items(call, function)
        else:
            call.run(function, None)
    elif kind == _core.CALL_METHOD:
        method = _calls.methods.get(call.func)
        if method is None:
            method = _calls.methods[call.func] = _calls.method_for(call)
        if call.flags & ITEMS or call.n_returns > 1 and inspect.isgeneratorfunction(method):
            _calls.run_items(call, method, _session._instance)
        else:
            call.run(method, _session._instance)
    elif kind == _core.CALL_ACTOR:
        _create(call)
    elif kind == _core.CALL_LEAVE:
        call.finish(_core.OK)
        raise Left
    else:  # also a cancel for a call that this kind of worker interrupts by signal
        _calls.chore(call)


def serve() -> None:
    """The main loop; returns when the worker is to end."""
    flush_out, flush_err = sys.stdout.flush, sys.stderr.flush

    def flush() -> None:
        """Whole lines leave as they are printed; this is for the rest."""
        flush_out()
        flush_err()

    while True:
        try:
            call = _core.work(_calls.functions, _calls.methods, _session._instance, flush)
            if call is None:
                return
            _run(call)
            flush()
        except Left:
            return
        except KeyboardInterrupt:
            continue  # an interrupt between two calls belongs to none


def main() -> None:
    """Joins the session and works until told to leave."""
    _core.set_hooks(task_raised=_calls.fail, spread=_calls.spread)
    _calls.sets_threads = "OMP_NUM_THREADS" not in os.environ  # unless the user has said how many
    if _calls.sets_threads:
        os.environ["OMP_NUM_THREADS"] = "1"
    if _core.attach():
        serve()
