"""Remote functions: the decorator, options, and what happens at the first call in a session."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Dict, Optional

from . import _core, _options, _signature

_STREAM = -1
MAX_CODE = 95 << 20


class Code:
    """What a worker needs to run something: the function or class, and how to treat it.  Pickled by cloudpickle."""

    __slots__ = ("target", "env", "retry")

    def __init__(self, target: Any, env: Optional[Dict[str, str]], retry: Any):
        self.target = target
        self.env = env
        self.retry = retry

    def __reduce__(self):
        return Code, (self.target, self.env, self.retry)


def export(target: Any, options: Dict[str, Any], name: str) -> "_core.ObjectRef":
    """Puts code into the session.  TypeError: it cannot be pickled; ValueError: it is too large."""
    import cloudpickle  # noqa: F401  (only to fail early)

    retry = options.get("retry_exceptions", False)
    code = Code(target, options.get("runtime_env", {}).get("env_vars"), retry)
    from . import _pickle

    with _pickle.code_limit(name, MAX_CODE):
        return _core.put(code)


def qualified(target: Any) -> str:
    """Name for people: 'f', 'Outer.f'; local ones without '<locals>'."""
    name = getattr(target, "__qualname__", None) or getattr(target, "__name__", None) or type(target).__name__
    return name.replace("<locals>.", "").replace("<lambda>", "lambda")


class RemoteFunction(_core.Submitter):
    """A function that runs in worker processes: ``f.remote(x)``.  Made by :func:`miniray.remote`."""

    def __init__(self, function: Optional[Callable], options: Dict[str, Any], described: Any = None, name: str = ""):
        self._function = function
        self._options = options
        self._code: Any = None
        self._name = name or qualified(function)
        if function is not None:
            described = _signature.describe(function)
            functools.update_wrapper(self, function, updated=())
        self._described = described
        returns = options.get("num_returns")
        if returns is None:
            returns = "streaming" if function is not None and inspect.isgeneratorfunction(function) else 1
        self._n_returns = _STREAM if isinstance(returns, str) else returns
        self._min_args, self._max_args = _signature.limits(described)

    def __call__(self, *args: Any, **kwargs: Any):
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{self._name}()', try '{self._name}.remote()'.")

    def _check(self, args: tuple, kwargs: dict) -> None:
        _signature.check(self._described, args, kwargs)

    def _prepare(self) -> None:
        """Exports the function: at the first call of a session, so that later globals are seen."""
        number = _core.session_number()
        code = export(self._target(), self._options, self._name)
        options = self._options
        made = _options.definition(options, actor=False)
        retry = options.get("retry_exceptions", False)
        stream = self._n_returns == _STREAM
        made.update(
            kind=_core.DEF_TASK, name=options.get("name") or self._name, entry=self._name.encode()[:60].decode("utf-8", "ignore"),
            code=code, n_returns=1 if stream else self._n_returns, max_retries=options.get("max_retries", 3),
            max_calls=options.get("max_calls", 1 if options.get("num_gpus") else 0),
            window=options.get("_generator_backpressure_num_objects"),
            flags=made["flags"] | (_core.DEF_RETRY_ERRORS if retry else 0) | (_core.DEF_STREAMING if stream else 0))
        self._number = _core.define(made)
        self._code = code
        self._number_session = number

    def _target(self) -> Callable:
        if self._function is None:  # it came from another process: its code is in the session
            self._function = _core.get(self._code).target
        return self._function

    def options(self, **options: Any) -> "RemoteFunction":
        """The same function with other options (those of :func:`miniray.remote`); the original is not changed."""
        return self._with({**self._options, **_options.check(options, "remote functions")})

    def _with(self, options: Dict[str, Any]) -> "RemoteFunction":
        return RemoteFunction(self._target(), options)

    def bind(self, *args: Any, **kwargs: Any):
        raise NotImplementedError("task graphs by bind() are not supported; remote() with references as arguments is")

    def __reduce__(self):
        if self._code is not None and self._number_session == _core.session_number() and _core.encoding():
            return _attached, (self._name, self._options, self._described, self._n_returns, self._code, self._number,
                               self._number_session)
        return RemoteFunction, (self._target(), self._options)

    def __repr__(self) -> str:
        return f"<remote function {self._name}>"


def _attached(name, options, described, n_returns, code, number, session) -> RemoteFunction:
    """A function of this session that another process exported: nothing to send again."""
    f = RemoteFunction(None, options, described, name)
    f._n_returns = n_returns
    f._code = code
    f._number = number
    f._number_session = session
    f.__dict__["__name__"] = name.rpartition(".")[2]
    return f


class ObjectRefGenerator:
    """The references of a streaming task's items, in order; each comes as soon as its item is made."""

    def __init__(self, task: "_core.ObjectRef"):
        self._task = task
        self._ended = False

    def __del__(self) -> None:
        """The node is told at once: a producer that waits for its reader holds a CPU."""
        if getattr(self, "_task", None) is not None and not self._ended:
            del self._task
            _core.flush()

    def __iter__(self) -> "ObjectRefGenerator":
        return self

    def __next__(self) -> "_core.ObjectRef":
        return self._next(None)

    def _next(self, timeout: Optional[float]) -> "_core.ObjectRef":
        if not self._ended:
            item = _core.next_item(self._task, timeout)
            if item is not None:
                return item
            self._ended = True
            if self._failed():
                return self._task  # its value is the error, which get() raises
        raise StopIteration

    def _failed(self) -> bool:
        from .exceptions import ObjectLostError

        try:
            _core.get(self._task)
        except Exception as why:
            return type(why) is not ObjectLostError  # a stream that ended well has no value of its own
        return False

    def __aiter__(self) -> "ObjectRefGenerator":
        return self

    async def __anext__(self) -> "_core.ObjectRef":
        import asyncio

        loop = asyncio.get_running_loop()
        item = await loop.run_in_executor(None, lambda: next(self, None))
        if item is None:
            raise StopAsyncIteration
        return item

    def completed(self) -> "_core.ObjectRef":
        """A reference that is ready when the task has ended."""
        return self._task

    def is_finished(self) -> bool:
        """Has the last item been taken?"""
        return self._ended

    def __reduce__(self):
        raise TypeError("an ObjectRefGenerator cannot be passed on or pickled; pass the references that it gives")

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._task.hex()})"


def remote(*args: Any, **options: Any):
    """Makes a function or class remote: ``@remote``, ``@remote(num_cpus=2)``, ``remote(f)``.

    Options of both: num_cpus (CPUs; 0 and fractions of 0.0001 too), num_gpus, memory (bytes), resources ({name:
    amount}), name, scheduling_strategy, runtime_env ({"env_vars": ...}), priority, estimate_s, deadline_s, limit_s
    (seconds), user, labels.  Of functions: num_returns, max_retries, retry_exceptions, max_calls.  Of classes:
    max_restarts, max_task_retries, max_concurrency, max_pending_calls, namespace, lifetime, get_if_exists.

    Raises ValueError for an unknown or unsupported option, TypeError for one of the wrong type.
    """
    if len(args) == 1 and not options and callable(args[0]):
        return _make(args[0], {})
    if args or not options:
        raise TypeError(
            "The @ray.remote decorator must be applied either with no arguments and no parentheses, for example "
            "'@ray.remote', or it must be applied using some of the arguments, as in '@ray.remote(num_cpus=2)'.")
    return functools.partial(_make, options=options)


def _make(target: Any, options: Dict[str, Any]) -> Any:
    from ._actor import ActorClass

    if inspect.isclass(target):
        return ActorClass(target, _options.check(options, "actors"))
    if isinstance(target, RemoteFunction) or not callable(target):
        raise TypeError("The @ray.remote decorator must be applied to either a function or a class.")
    if inspect.iscoroutinefunction(target):
        raise ValueError("'async def' should not be used for remote functions. You can wrap the async function with "
                         "asyncio.run(), or make it a method of an (async) actor.")
    return RemoteFunction(target, _options.check(options, "remote functions"))
