"""One call in a worker: the code that it names, how its results leave, and what becomes of its error."""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
import os
import sys
from typing import Any, Callable, Dict, List, Optional

from . import _core, _env, _errors, _exports, _session
from ._generator import DynamicObjectRefGenerator
from ._ids import actor_hex
from .exceptions import RuntimeEnvSetupError

functions: "Dict[int, Callable]" = {}
retry_rules: "Dict[int, Any]" = {}
methods: "Dict[int, Any]" = {}
held: "Dict[int, Dict[str, float]]" = {}  # resources, by function number
loaded: "Dict[int, List[int]]" = {}  # function numbers, by id of their code
current: "Optional[_core.Call]" = None  # what was begun last: of one thread, what runs
running: "Dict[int, _core.Call]" = {}  # by task: those beside it, in threads and suspended
sets_threads = False  # does this process say how many threads numeric libraries may have?


def current_call() -> "Optional[_core.Call]":
    """The call that this thread runs; None outside of one."""
    number = _core.current_task()
    for call in (_core.running(), current):
        if call is not None and call.task == number and not call.done:
            return call
    return running.get(number)


class _CannotLoad:
    """Stands for a function that could not be loaded: each call fails with the first cause."""

    def __init__(self, name: str, why: BaseException, env: bool = False):
        self.name = name
        self.why = f"{type(why).__name__}: {why}"
        self.env = env

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if self.env:
            raise RuntimeEnvSetupError(f"The runtime_env of {self.name} could not be set up: {self.why}")
        raise RuntimeError(f"The remote function {self.name} failed to import on the worker: {self.why}. Is everything that it "
                           "imports installed for, and found by, the worker?")


def load(call: "_core.Call") -> Callable:
    env = False
    try:
        token = _core.ObjectRef(call.code.binary())  # not counted: what refers to itself is not to keep itself
        with _exports.loading(token, call.func):
            code = _exports.fetch(token)
            if sets_threads:  # before its libraries are loaded, for most
                os.environ["OMP_NUM_THREADS"] = str(max(1, int(code.held.get("CPU", 1))))
            env = True
            _env.apply(code.env)
            env = False
            target = code.target
    except Exception as why:
        functions[call.func] = failed = _CannotLoad(call.name, why, env)
        return failed
    if call.n_returns == 1 and not call.flags & ITEMS and inspect.isgeneratorfunction(target):
        target = _first_only(target)
    functions[call.func] = target
    loaded.setdefault(token._id, []).append(call.func)
    retry_rules[call.func] = code.retry
    held[call.func] = code.held
    if code.actor:
        _session._actor_options = code.actor
    return target


def _first_only(function: Callable) -> Callable:
    """A generator function of which one result is wanted (num_returns=1): its first item."""
    @functools.wraps(function)
    def first(*args: Any, **kwargs: Any) -> Any:
        items = list(itertools.islice(function(*args, **kwargs), 2))
        if len(items) != 1:
            raise ValueError(f"The task returned {'more than 1' if items else 0} objects, but num_returns=1.")
        return items[0]

    del first.__dict__["__wrapped__"]  # it is no generator function
    return first


def chore(call: "_core.Call") -> None:
    """A call that runs nothing of the program."""
    if call.kind == _core.CALL_FORGET:
        for number in loaded.pop(call.task, ()):
            for table in (functions, retry_rules, held):
                table.pop(number, None)
    if call.kind in (_core.CALL_FORGET, _core.CALL_COLLECT):  # functions and classes are mostly parts of cycles
        gc.collect()
    call.finish(_core.OK)


def _actor_id() -> Optional[str]:
    return actor_hex(_session._actor_ref._id) if _session._actor_ref is not None else None


def retriable(call: "_core.Call", exc: BaseException) -> bool:
    """Do the options say that the call is run again after this exception?"""
    if not call.flags & _core.DEF_RETRY_ERRORS:
        return False
    rule = retry_rules.get(call.func)
    if rule is None:  # of a method: functions have brought theirs
        rule = retry_rules[call.func] = _exports.fetch(call.code).retry if call.code._id else True
    return rule if isinstance(rule, bool) else isinstance(exc, tuple(rule))


def mend_imports() -> None:
    """Forgets modules whose package is not there: what an interrupted import leaves.  A later import would find them and not
    make them attributes of the package that it makes anew."""
    for name in sorted(sys.modules):
        package = name.rpartition(".")[0]
        if package and package not in sys.modules:
            del sys.modules[name]


def fail(call: "_core.Call", exc: BaseException) -> None:
    """Writes the error value of a call that raised, and finishes it."""
    constructs = call.kind == _core.CALL_ACTOR
    if isinstance(exc, KeyboardInterrupt):
        mend_imports()
        if not constructs:  # nobody cancels a constructor: it has raised this, and its callers are told so
            call.finish(_core.E_CANCELLED)
            return
    name = call.name
    leave = not constructs and _session._actor_ref is not None and isinstance(exc, (_errors.ActorExit, SystemExit))
    again = retriable(call, exc) and not leave
    state = _errors.encode(exc, name, _actor_id(), constructs)
    try:
        call.fail(state, again)
    except Exception as why:  # too large, for one
        text = f"{state[3][:2000]} (the error itself could not be sent: {why})"
        call.fail(state[:3] + (text, state[4][-4000:], state[5], None, state[7]), again)
    call.finish(_core.E_TASK, leave)
    if leave:
        raise Left


def spread(call: "_core.Call", value: Any) -> tuple:
    """The n_returns values of what a function returned."""
    n = call.n_returns
    if inspect.isgenerator(value):
        values = []
        for item in value:
            values.append(item)
            if len(values) > n:
                break
    elif isinstance(value, (tuple, list)) or hasattr(value, "__len__") and hasattr(value, "__iter__"):
        values = list(value)
    else:
        raise ValueError(f"The task returned an object of {type(value).__name__}, but num_returns={n}: return a tuple or list of {n}.")
    if len(values) != n:
        more = "more than " if len(values) > n and inspect.isgenerator(value) else ""
        raise ValueError(f"The task returned {more}{len(values) if not more else n} objects, but num_returns={n}.")
    return tuple(values)


class Left(Exception):
    """The worker is to end."""


ITEMS = _core.DEF_STREAMING | _core.DEF_DYNAMIC


class Items:
    """Where the items of a generator go: a stream, one value of references to them, or the results in order."""

    def __init__(self, call: "_core.Call"):
        self.call = call
        self.n = 0
        self.last: Any = None
        self.refs: "Optional[list]" = [] if call.flags & _core.DEF_DYNAMIC else None
        self.streams = bool(call.flags & _core.DEF_STREAMING)

    def take(self, item: Any) -> None:
        if self.streams:
            self.call.emit(item)
        elif self.refs is not None:
            self.refs.append(_core.put(item))
        elif self.n < self.call.n_returns - 1:
            self.call.give(self.n, item)
        elif self.n < self.call.n_returns:
            self.last = item  # kept back: it is the error if there are more
        else:
            raise ValueError(f"The task returned more than {self.call.n_returns} objects, but num_returns={self.call.n_returns}.")
        self.n += 1

    def end(self) -> None:
        if self.streams:
            self.call.give(1, None)
        elif self.refs is not None:
            self.call.give(0, DynamicObjectRefGenerator(self.refs))
        elif self.n < self.call.n_returns:
            raise ValueError(f"The task returned {self.n} objects, but num_returns={self.call.n_returns}.")
        else:
            self.call.give(self.n - 1, self.last)

    def failed(self, exc: BaseException) -> bool:
        """A dynamic generator's error is its last item.  False: it is the error of the call."""
        if self.refs is None or not isinstance(exc, Exception) or retriable(self.call, exc):
            return False
        self.refs.append(_core.put_error(_errors.encode(exc, self.call.name, _actor_id())))
        self.end()
        return True


def run_items(call: "_core.Call", function: Callable, instance: Any = None) -> None:
    """A generator: each item leaves as it is made."""
    if not call.start(True):
        call.finish(_core.E_CANCELLED)
        return
    sink = Items(call)
    try:
        args, kwargs = call.arguments()
        made = function(*args, **kwargs) if instance is None else function(instance, *args, **kwargs)
        del args, kwargs
        for item in made:
            sink.take(item)
            item = None
        if not call.stop():
            call.finish(_core.E_CANCELLED)
            return
        sink.end()
    except Left:
        raise
    except BaseException as exc:
        try:
            call.stop()
        except KeyboardInterrupt:
            pass
        if not sink.failed(exc):
            fail(call, exc)
            return
    call.finish(_core.OK)


def _terminate(self: Any) -> None:
    raise _errors.ActorExit()


SPECIAL: "Dict[str, Callable]" = {  # every actor answers these
    "__ray_terminate__": _terminate,
    "__ray_ready__": lambda self: True,
    "__ray_call__": lambda self, fn, *args, **kwargs: fn(self, *args, **kwargs),
}


def method_of(entry: str) -> Callable:
    """The plain function that runs method `entry` on the instance."""
    if entry in SPECIAL:
        return SPECIAL[entry]
    cls = type(_session._instance)
    plain = inspect.getattr_static(cls, entry, None)
    if inspect.isfunction(plain):
        return plain

    def call_it(self: Any, *args: Any, **kwargs: Any) -> Any:  # static, class and other unusual methods
        return getattr(self, entry)(*args, **kwargs)

    if isinstance(plain, (staticmethod, classmethod)) and inspect.iscoroutinefunction(plain.__func__):
        inspect.markcoroutinefunction(call_it) if hasattr(inspect, "markcoroutinefunction") else None
    return call_it


def method_for(call: "_core.Call") -> Callable:
    """What runs the calls of the same function number."""
    method = method_of(call.entry)
    single = call.n_returns == 1 and not call.flags & ITEMS and inspect.isgeneratorfunction(method)
    return _first_only(method) if single else method
