"""Remote functions: their options, and what happens at the first call in a session."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Dict, Optional

from . import _core, _env, _exports, _options, _session, _signature
from ._code import qualified

_STREAM = -1


def n_returns(returns: Any) -> int:
    """The option num_returns as the submitter wants it."""
    return _STREAM if returns == "streaming" else 1 if returns == "dynamic" else returns


def check_yields(function: Callable, returns: Any) -> None:
    """ValueError: what wants a generator is none."""
    if isinstance(returns, str) and not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        raise ValueError(f"num_returns={returns!r} can only be used with generator functions (functions that use 'yield'). "
                         f"{qualified(function)} is not a generator function.")


def results(options: Dict[str, Any], n: int) -> Dict[str, Any]:
    """What a definition says of results: how many, as a stream, retried after which errors."""
    window = options.get("_generator_backpressure_num_objects", -1)
    flags = _core.DEF_RETRY_ERRORS if options.get("retry_exceptions") else 0
    flags |= _core.DEF_DYNAMIC if options.get("num_returns") == "dynamic" else 0
    if n == _STREAM:  # its handle, and what tells that it has ended
        flags |= _core.DEF_STREAMING
    return {"n_returns": 2 if n == _STREAM else n, "window": window, "flags": flags}


class RemoteFunction(_core.Submitter):
    """A function that runs in worker processes: ``f.remote(x)``.  Made by :func:`miniray.remote`."""

    _is_class = False

    def __init__(self, function: Optional[Callable], options: Dict[str, Any], described: Any = None, name: str = ""):
        if function is not None:
            self._function = function
        self._options = options
        self._code: Any = None
        self._base = 0  # the environment below which it was defined
        self._exports = _exports.Exports()
        self._name = name or qualified(function)
        if function is not None:
            if described is None:
                described = _signature.describe(function)
            functools.update_wrapper(self, function, updated=())
        self._described = described
        returns = options.get("num_returns")
        if returns is None:
            returns = "streaming" if function is not None and inspect.isgeneratorfunction(function) else 1
        elif function is not None:
            check_yields(function, returns)
        self._n_returns = n_returns(returns)
        self._min_args, self._max_args = _signature.limits(described)

    def __call__(self, *args: Any, **kwargs: Any):
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{self._name}()', try '{self._name}.remote()'.")

    def _check(self, args: tuple, kwargs: dict) -> None:
        _signature.check(self._described, args, kwargs)

    def _prepare(self) -> Any:
        """Exports the function: at the first call of a session, so that later globals are seen.  Returns None, or in local
        mode what runs it here."""
        if _session.local is not None:
            return _session.local.task(self)
        number = _core.session_number()
        code = _exports.send(self, self._name)
        options = self._options
        made = _options.definition(options, actor=False)
        flags = made["flags"]
        made.update(
            kind=_core.DEF_TASK, name=options.get("name") or self._name, entry=self._name.encode()[:60].decode("utf-8", "ignore"),
            code=code, max_retries=options.get("max_retries", 3),
            max_calls=options.get("max_calls", 1 if options.get("num_gpus") else 0), **results(options, self._n_returns))
        made["flags"] |= flags
        self._number = _core.define(made)
        self._code = code
        self._base = _env.number(_env.current)
        self._number_session = number
        return None

    @functools.cached_property
    def _function(self) -> Callable:
        """The function itself.  Of one that came from another process the code is in the session."""
        with _exports.loading(self._code, self._number, self):
            return _exports.fetch(self._code).target

    def _target(self) -> Callable:
        return self._function

    def options(self, **options: Any) -> "RemoteFunction":
        """The same function with other options (those of :func:`miniray.remote`); the original is not changed."""
        return self._with({**self._options, **_options.check(options, "remote functions")})

    def _with(self, options: Dict[str, Any]) -> "RemoteFunction":
        return _exports.share(self, RemoteFunction(self._target(), options))

    def _remote(self, args: Any = (), kwargs: Any = None, **options: Any):
        """Ray's other way to call: ``f._remote(args=[1], num_cpus=2)``."""
        return (self.options(**options) if options else self).remote(*args, **(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any):
        """Raises NotImplementedError: there are no task graphs."""
        raise NotImplementedError("task graphs by bind() are not supported; remote() with references as arguments is")

    def __reduce__(self):
        about = self._name, self._options, self._described, self._n_returns
        return _exports.reduce(
            self, lambda: (_attached, (*about, self._code, self._number, self._number_session, self._base)),
            lambda same: (_itself, (*about, same)), lambda: (RemoteFunction, (self._target(), self._options, self._described)))

    def __repr__(self) -> str:
        return f"<remote function {self._name}>"


def _attached(name, options, described, n_returns, code, number, session, base) -> RemoteFunction:
    """A function of this session that another process exported: nothing to send again where the environment is the same."""
    f = RemoteFunction(None, options, described, name)
    f._n_returns = n_returns
    f._code = code
    f._number = number
    f._base = base
    f._number_session = session if base == _env.number(_env.current) else 0
    f.__dict__["__name__"] = name.rpartition(".")[2]
    return f


def _itself(name, options, described, n_returns, same) -> RemoteFunction:
    """The function in its own code; not `same`: with options that do not change the code."""
    code, number, session, known = _exports.loaded(same)
    return known or _attached(name, options, described, n_returns, code, number, session, _env.number(_env.current))
