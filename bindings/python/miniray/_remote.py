"""``@remote``: a function or a class that runs in workers."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Dict

from . import _options
from ._actor import ActorClass
from ._function import RemoteFunction


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
    if inspect.isclass(target):
        return ActorClass(target, _options.check(options, "actors"))
    if isinstance(target, RemoteFunction) or not callable(target):
        raise TypeError("The @ray.remote decorator must be applied to either a function or a class.")
    if inspect.iscoroutinefunction(target):
        raise ValueError("'async def' should not be used for remote tasks. You can wrap the async function with "
                         "`asyncio.run()`, or make it a method of an (async) actor.")
    return RemoteFunction(target, _options.check(options, "remote functions"))
