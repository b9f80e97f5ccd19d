"""Signatures in a form that travels: enough to refuse a wrong call where it is made."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Optional, Tuple

Described = Tuple[Tuple[str, int, bool], ...]
_ALWAYS = 1 << 30


def describe(function: Callable, skip_first: bool = False) -> Optional[Described]:
    """(name, kind, has default) of each parameter; None when it cannot be known (builtins)."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return None
    if skip_first and parameters and parameters[0].kind in (0, 1):
        parameters = parameters[1:]
    return tuple((p.name, int(p.kind), p.default is not p.empty) for p in parameters)


def limits(described: Optional[Described]) -> Tuple[int, int]:
    """How many positional arguments are right without a closer look: (min, max), max -1 for any number."""
    if described is None:
        return 0, -1
    positional = [has for _, kind, has in described if kind in (0, 1)]
    if any(kind == 3 and not has for _, kind, has in described):
        return _ALWAYS, _ALWAYS
    any_number = any(kind == 2 for _, kind, _ in described)
    return sum(not has for has in positional), -1 if any_number else len(positional)


def check(described: Optional[Described], args: tuple, kwargs: dict) -> None:
    """TypeError when the call does not fit."""
    if described is None:
        return
    signature = inspect.Signature([
        inspect.Parameter(name, inspect._ParameterKind(kind), default=None if has else inspect.Parameter.empty)
        for name, kind, has in described])
    signature.bind(*args, **kwargs)
