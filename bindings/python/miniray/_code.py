"""What a worker needs to run something: the code of a remote function or class, as it travels."""

from __future__ import annotations

import pickle
from typing import Any, Dict, Optional


class Code:
    """What a worker needs to run something: the function or class, and how to treat it.  Pickled by cloudpickle.

    What has an environment of its own is pickled twice: the worker must have that before it can load the target."""

    def __init__(self, target: Any, env: Dict[str, Any], retry: Any, held: Dict[str, float],
                 actor: Optional[Dict[str, Any]] = None, pickled: Optional[bytes] = None):
        self.actor = actor or {}  # of a class: what its handles are made by
        self._target = target
        self._pickled = pickled
        self.env = env
        self.retry = retry
        self.held = held

    @property
    def target(self) -> Any:
        if self._pickled is not None:
            self._target = pickle.loads(self._pickled)
            self._pickled = None
        return self._target

    def __reduce__(self):
        if not self.env:
            return Code, (self._target, self.env, self.retry, self.held, self.actor)
        import cloudpickle

        return Code, (None, self.env, self.retry, self.held, self.actor, cloudpickle.dumps(self.target, protocol=5))


def qualified(target: Any) -> str:
    """Name for people: without the classes and functions that it is in."""
    name = getattr(target, "__qualname__", None) or getattr(target, "__name__", None) or type(target).__name__
    return name.rpartition(".")[2].replace("<lambda>", "lambda")
